/* SPDX-License-Identifier: MIT
 *
 * ledger.h - borrows on record, for programs compiled with WANE_CHECKED
 *
 * There the calls of wane.h say where they stand. Each thread notes what it borrows: the object, the slot, where; and how a
 * borrow ended: by the end of its section, or by the release that killed the container of its slot. A dead object that is used
 * after all is refused with the whole story. A live one never is, whatever the notes say: the caller may hold a unit that they
 * do not know of. So there are no false alarms, and a violation that does no harm in this run is not seen. Plain accesses to the
 * payload are not seen either; freed memory is poisoned, and the address sanitizer sees those.
 *
 * Dead objects stay readable for a while (check.h, quarantine), which the first checked call switches on.
 *
 * The notes hang on a thread-specific key, not in the library's own thread-local memory, which is 16 bytes for good reasons.
 */
#ifndef WN_LEDGER_H
#define WN_LEDGER_H

#include <wane/wane.h>

#endif
