# SPDX-License-Identifier: MIT
"""The part of MQTT 5 that is needed to send a flood, or to act as a thousand subscribers."""


def text(word):
    data = word.encode()
    return len(data).to_bytes(2, "big") + data


def packet(first, body):
    size, length = b"", len(body)
    while length >= 128:
        size, length = size + bytes([length % 128 | 128]), length // 128
    return bytes([first]) + size + bytes([length]) + body


def connect(connection, name, user, password):
    """Connects over a socket and waits until the broker accepts it."""
    connection.sendall(packet(0x10, text("MQTT") + b"\x05\xc2\x02\x58\x00" + text(name) + text(user) +
                              text(password)))
    answer = connection.recv(256)
    assert answer[0] == 0x20 and answer[3] == 0, f"the broker lets us in: {answer.hex()}"


def subscribe(connection, topic):
    """With QoS 1."""
    connection.sendall(packet(0x82, b"\x00\x01\x00" + text(topic) + b"\x01"))
    assert connection.recv(256)[0] == 0x90


def acknowledgements(received):
    """The acknowledgements for messages with QoS 1, and the incomplete rest of the data."""
    answer, begin = b"", 0
    while len(received) - begin > 4:
        length, header = received[begin + 1], 2
        if length >= 128:
            length, header = length - 128 + 128 * received[begin + 2], 3
        end = begin + header + length
        if end > len(received):
            break
        if received[begin] & 0xf6 == 0x32:
            number = begin + header + 2 + int.from_bytes(received[begin + header:begin + header + 2],
                                                         "big")
            answer += b"\x40\x02" + received[number:number + 2]
        begin = end
    return answer, received[begin:]


def publish(topic, payload, retain=False, expiry=None):
    """With QoS 0."""
    properties = b"\x05\x02" + expiry.to_bytes(4, "big") if expiry else b"\x00"
    return packet(0x31 if retain else 0x30, text(topic) + properties + payload.encode())


def publish_surely(topic, payload, number):
    """With QoS 1."""
    return packet(0x32, text(topic) + number.to_bytes(2, "big") + b"\x00" + payload.encode())


GOODBYE = b"\xe0\x00"
