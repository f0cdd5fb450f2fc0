/* SPDX-License-Identifier: MIT
 *
 * abi.c - the version, and what programs have compiled into them: a change of what is asserted here needs a new WANE_ABI
 *
 * Sizes of the structures that the library fills in are asserted too: a field more is a new interface, not an addition.
 */
#include <wane/collector.h>
#include <wane/containers.h>
#include <wane/memory.h>
#include <wane/wane.h>
#include <wane/weakmap.h>

_Static_assert(WN_VERSION == WANE_VERSION, "version.h and meson.build say the same version");

int
wane_version(void)
{
    return WANE_VERSION;
}

#define AT(type, field, offset) \
    _Static_assert(offsetof(struct type, field) == (offset), "offset of " #field " in struct " #type " is part of the ABI")
#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), "the size of struct " #type " is part of the ABI")

_Static_assert(WANE_ABI == 1, "the assertions below are those of binary interface 1");

/* ---- Inline: fast.h -------------------------------------------------------------------------------------------- */

SIZE(wane_atomic32, 4);
SIZE(wane_atomic64, 8);
SIZE(wane_atomic_ptr, 8);
SIZE(wane_header, 16);
AT(wane_header, word0, 0);
AT(wane_header, word1, 8);
AT(wane_record, ctr, 0);
AT(wane_record, claim, 8);
AT(wane_record, attention, 12);
AT(wane_record, me, 16);
SIZE(wane_record, 24);
AT(wane_self, me, 0);
AT(wane_self, record, 8);
SIZE(wane_self, 16);
SIZE(wane_slot, 8);
_Static_assert(WANE_OWNER_AND_GUARD == UINT64_C(0x0000FFFF40000000) && WANE_QUIET == UINT64_C(0x80000000) &&
               WANE_LOCAL_LIMIT == UINT64_C(0x40000000), "the fields of word0 are part of the ABI");
_Static_assert(WANE_NEST == 0xFFFF && WANE_ONE_EPOCH == 0x10000 && WANE_OUTSIDE == 1 && WANE_TAG_MASK == 7,
               "what sections and tags compare with is part of the ABI");

/* ---- Filled in by programs ------------------------------------------------------------------------------------- */

AT(wane_type, name, 0);
AT(wane_type, size, 8);
AT(wane_type, slots, 16);
AT(wane_type, slot_count, 24);
AT(wane_type, trace, 32);
AT(wane_type, dispose, 40);
AT(wane_type, finalize, 48);
AT(wane_type, flags, 56);
AT(wane_type, id, 60);
SIZE(wane_type, 64);

/* ---- Filled in by the library ---------------------------------------------------------------------------------- */

SIZE(wane_collected, 64);
SIZE(wane_collection, 72);
SIZE(wane_stall, 40);
SIZE(wane_stats, 192);
SIZE(wane_memory_stats, 104);
_Static_assert(WANE_ABORTS == 8 && WANE_ALL == 2 && WANE_SIZED == 1 && WANE_ACYCLIC == 8,
               "numbers that programs compile in are part of the ABI");
