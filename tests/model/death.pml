/* SPDX-License-Identifier: MIT
 *
 * death.pml - memory that is freed at once, beside a suspect phase (src/count.c: release_last_local; src/unit.c: dies_plain;
 * src/death.c: end, free_dead; src/suspect.c: begin_collecting, trace, claim; docs/design.md, section 7, "The collecting flag")
 *
 * A mutator LIVES times makes an object x, puts it into the slot of a container c, empties the slot again (privately, or
 * because c itself dies), and gives x's last unit back. If word1 knows of nobody else, x dies plainly, else by RMWs. The
 * collector, which has claimed c, goes through PHASES suspect phases: it raises the flag, reads the slot in a section, claims
 * what it finds, lowers the flag, and goes on using x for a while (the review) before it gives it back. x always has the same
 * address. x86-TSO: the mutator's plain stores go through a buffer. The collector empties it by a membarrier; where there is none
 * (`fences`: both are tried), the mutator does by a fence.
 *
 * Properties (assertions)
 *   no use after free  the collector touches x only as long as the x that it has found has memory; nothing is freed twice
 *   nothing is lost    at the end x has no memory any more (no invalid end state)
 *
 * Broken variants, each must fail
 *   NO_MEMBARRIER       the collector raises the flag without one
 *   NO_FENCE            without membarrier, the mutator has no fence between the slot and the flag
 *   FLAG_READ_EARLY     the mutator reads the flag before it empties the slot
 *   IGNORE_FLAG         .. not at all
 *   LOOK_ONCE           .. and then does not look at word1 again: CLAIMED outlives the flag
 *   LOWER_EARLY         the flag is lowered between the read of the slot and the claim
 *   NO_GRACE            while the flag is up the memory of the dead is freed without a grace period
 *   IGNORE_CLAIMED      who sets DEAD frees although the collector holds the memory
 *   CLAIM_THE_DEAD      the claim does not look whether the object is gone
 *   DROP_BEFORE_EMPTY   a dying container gives the unit back, then empties the slot; a trace looks at DEAD only
 *
 * Not modelled: weak references (their memory always waits), marks as holders, more than one mutator (borrows: review.pml).
 *
 * VARIANTS: NO_MEMBARRIER NO_FENCE FLAG_READ_EARLY IGNORE_FLAG LOOK_ONCE LOWER_EARLY NO_GRACE IGNORE_CLAIMED CLAIM_THE_DEAD
 * VARIANTS: DROP_BEFORE_EMPTY
 * LIMITS: -m100000
 * ENDS: checked
 */
#ifndef LIVES
#define LIVES 3
#endif
#ifndef PHASES
#define PHASES 3
#endif
#define ROOM 2

bit  collecting;
bit  fences;

/* c: the slot, and what its word1 says */
bit  slot;
bit  c_gone, c_dead;
bit  buffer[ROOM]; /* stores to the slot that the collector does not see yet, oldest first */
byte used;

/* x */
byte life;                  /* which of the objects that this address has been */
bit  freed = 1;
bit  claimed, merged, dead; /* word1 */

bit  section;               /* the collector's */
bit  buried, waits_for;     /* x's memory waits for the end of that section */

/* ---- Store buffer -------------------------------------------------------------------------------------------------- */

inline flush()
{
    slot = buffer[0];
    buffer[0] = buffer[1];
    buffer[1] = 0;
    used--
}

inline fence()
{
    do
    :: used > 0 -> flush()
    :: else -> break
    od
}

inline store_slot(filled)
{
    atomic { used < ROOM -> buffer[used] = filled; used++ }
}

proctype processor()
{
end:
    do
    :: atomic { used > 0 -> flush() }
    od
}

/* ---- Freeing ------------------------------------------------------------------------------------------------------- */

inline free_memory()
{
    assert(!freed);
    freed = 1
}

proctype graves()
{
end:
    do
    :: atomic { buried && !waits_for -> buried = 0; free_memory() }
    od
}

/* ---- The mutator -------------------------------------------------------------------------------------------------- */

inline look_at_flag()
{
    if
    :: fences ->
#ifndef NO_FENCE
        atomic { fence() };
#endif
        up = collecting
    :: !fences -> up = collecting
    fi
#ifdef IGNORE_FLAG
    ;
    up = 0
#endif
}

inline look_early()
{
#ifdef FLAG_READ_EARLY
    look_at_flag()
#else
    skip
#endif
}

inline look_late()
{
#ifdef FLAG_READ_EARLY
    skip
#else
    look_at_flag()
#endif
}

/* x's last unit is given back. */
inline die()
{
    known = claimed;
    if
    :: !known -> look_late()
    :: else
    fi;
    if
#ifdef LOOK_ONCE
    :: !known && !up -> free_memory() /* no RMW at all */
    :: !known && up -> atomic { fence(); merged = 1 }
#else
    :: !known && !up && !claimed -> free_memory() /* no RMW at all */
    :: !known && (up || claimed) -> atomic { fence(); merged = 1 }
#endif
    :: known -> atomic { fence(); merged = 1 }
    fi;
    if
    :: merged && !freed ->
        atomic {
            fence();
            assert(!freed);
            dead = 1;
#ifdef IGNORE_CLAIMED
            known = 0
#else
            known = claimed
#endif
        };
        if
        :: known -> skip /* the collector's */
        :: !known ->
            look_late();
            if
            :: !up -> free_memory()
            :: up ->
#ifdef NO_GRACE
                free_memory()
#else
                atomic { buried = 1; waits_for = section }
#endif
            fi
        fi
    :: else
    fi;
    atomic { known = 0; up = 0 }
}

/* The last unit of c, too: it is claimed, so it dies in word1. */
inline container_dies()
{
    atomic { fence(); c_gone = 1 };
#ifdef DROP_BEFORE_EMPTY
    die();
    store_slot(0);
#else
    store_slot(0);
    die();
#endif
    atomic { fence(); c_dead = 1 }
}

proctype mutator()
{
    byte n;
    bit  known, up;

    do
    :: n == LIVES -> break
    :: n < LIVES ->
        n++;
        atomic { freed = 0; claimed = 0; merged = 0; dead = 0; life++ };
        store_slot(1);
        if
        :: true -> look_early(); store_slot(0); die()
        :: true -> container_dies(); n = LIVES
        fi;
        freed
    od
}

/* ---- The collector ------------------------------------------------------------------------------------------------- */

inline touch()
{
    assert(!freed && life == found)
}

#ifdef DROP_BEFORE_EMPTY
#define NOT_TRACED c_dead
#else
#define NOT_TRACED c_gone
#endif

proctype collector()
{
    byte n, found;

    do
    :: n == PHASES -> break
    :: n < PHASES ->
        n++;
        collecting = 1;
        if
#ifndef NO_MEMBARRIER
        :: !fences -> atomic { fence() }
#endif
        :: else
        fi;
        section = 1;
        if
        :: NOT_TRACED
        :: else -> /* the container's word was looked at; it may die from here on */
            atomic {
                if
                :: slot -> found = life
                :: else
                fi
            }
        fi;
#ifdef LOWER_EARLY
        collecting = 0;
#endif
        if
        :: found ->
            atomic {
                touch();
                if
#ifndef CLAIM_THE_DEAD
                :: merged || dead -> found = 0
#endif
                :: else -> claimed = 1
                fi
            }
        :: else
        fi;
        atomic { section = 0; waits_for = 0 };
        collecting = 0;
        if
        :: found ->
            touch();
            atomic {
                touch();
                claimed = 0;
                found = 0;
                if
                :: dead -> free_memory()
                :: else
                fi
            }
        :: else
        fi
    od
}

init
{
    atomic {
#ifdef NO_FENCE
        fences = 1;
#else
        if
        :: fences = 0
        :: fences = 1
        fi;
#endif
        run mutator();
        run collector();
        run processor();
        run graves()
    }
}
