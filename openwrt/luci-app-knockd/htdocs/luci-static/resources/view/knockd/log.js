// SPDX-License-Identifier: MIT
// The lines of knockd in the system log.
'use strict';
'require tools.views as views';

return views.LogreadBox('knockd', _('Log of knockd'));
