# SPDX-License-Identifier: MIT
"""An expression for a browser that lists a page's accessibility faults: contrast, names for screen
readers, and a page wider than the screen (WCAG 2: 1.4.3, 1.4.10, 3.1.1, 4.1.2)."""

FAULTS = """(() => {
  const faults = [];
  const channel = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const parts = color => color.match(/[\\d.]+/g).map(Number);
  const luminance = color => { const [r, g, b] = parts(color).map(value => channel(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const background = element => { for (; element; element = element.parentElement) {
    const color = getComputedStyle(element).backgroundColor;
    if ((parts(color)[3] ?? 1) == 1) return color }
    return "rgb(255, 255, 255)" };
  for (const element of document.body.querySelectorAll("*:not(script, noscript)")) {
    if (!element.checkVisibility()) continue;
    if (![...element.childNodes].some(node => node.nodeType == 3 && node.data.trim())) continue;
    const both = [luminance(getComputedStyle(element).color), luminance(background(element))].sort();
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast}: ${element.outerHTML}`);
  }
  for (const element of document.querySelectorAll("button, input, progress")) {
    if (!(element.getAttribute("aria-label") ?? element.textContent).trim())
      faults.push(`no label: ${element.outerHTML}`);
  }
  if (!document.documentElement.lang) faults.push("no language");
  if (document.querySelectorAll("h1").length != 1) faults.push("not one h1");
  if (!document.title) faults.push("no title");
  if (document.documentElement.scrollWidth > innerWidth) faults.push("wider than the screen");
  return faults })()"""
