/* SPDX-License-Identifier: MIT
 *
 * ticket.pml - deferred logs and the tickets of grace periods (src/grace.c: wn_grace_ticket, wn_grace_poll; src/unit.c:
 * wn_unit_defer; src/log.c: seal_until; include/wane/fast.h: wane_enter, wane_leave; docs/design.md, section 4)
 *
 * A mutator displaces what is in two slots, one after the other, logs it, and seals its log whenever it likes: all that is
 * logged and has no ticket gets one. A reader goes through SECTIONS sections: enter, read one of the slots, use what was there,
 * leave. POLLERS poll all the time (a scan looks at each record by itself, so one reader is enough). The mutator frees what has
 * a ticket that is done.
 *
 * The reader's stores of ctr go through a store buffer (wane_enter has no fence), and in PLAIN_DISPLACEMENT so does the mutator's
 * of the slots. A poll empties it, unless there is no membarrier: then who enters announces itself by an exchange (`fences`: both
 * are tried).
 *
 * Properties (assertions)
 *   grace     what a section has read is not freed before the section ends
 *   progress  everything is freed at last (no invalid end state)
 *
 * Broken variants, each must fail
 *   OFF_BY_ONE              the ticket is the epoch before the increment
 *   TICKET_TOO_EARLY        the ticket is taken before the displacement
 *   PLAIN_DISPLACEMENT      the slot is cleared by a plain store, and the ticket is taken without a fence
 *   SEAL_COVERS_LATER       what is logged after a seal goes with its ticket
 *   NO_MEMBARRIER           the poll scans without one
 *   NO_EXCHANGE             without membarrier, who enters announces itself by a plain store
 *   BARRIER_TOO_EARLY       the poll loads the epoch after its membarrier
 *   EPOCH_TOO_LATE          .. after its scan (the start of the grace period is published late)
 *   BARRIER_CLAIMED_EARLY   other polls are told of the membarrier before it is made
 *   IGNORE_OPEN             the scan passes over records that are in a section
 *
 * Larger bounds that were run: SECTIONS 2: 2.4 million states.
 *
 * Not modelled: machines weaker than TSO (the acquire of the epoch in enter, edge E1, has no effect here), nested sections, a
 * loss of membarrier while the program runs, squeezed logs (their tickets are later ones).
 *
 * VARIANTS: OFF_BY_ONE TICKET_TOO_EARLY PLAIN_DISPLACEMENT SEAL_COVERS_LATER
 * VARIANTS: NO_MEMBARRIER NO_EXCHANGE BARRIER_TOO_EARLY EPOCH_TOO_LATE BARRIER_CLAIMED_EARLY IGNORE_OPEN
 * LARGER: SECTIONS=2
 * LIMITS: -m100000
 * ENDS: checked
 */
#ifndef SECTIONS
#define SECTIONS 1
#endif
#ifndef POLLERS
#define POLLERS 2
#endif
#define SLOTS 2
#define ROOM  2

/* ctr: epoch and nest */
#define INSIDE(epoch)  ((epoch) * 2 + 1)
#define OUTSIDE(epoch) ((epoch) * 2)
#define NEST(c)        ((c) % 2)
#define EPOCH(c)       ((c) / 2)

byte epoch = 1;
byte done, barriered;
byte ctr;
byte buffer[ROOM]; /* stores to ctr that the others do not see yet, oldest first */
byte used;
bit  filled[SLOTS];
bit  fences;

bit  late[SLOTS];   /* PLAIN_DISPLACEMENT: the clearing of this slot is in the mutator's store buffer */
bit  logged[SLOTS];
byte ticket[SLOTS]; /* 0: not sealed */
bit  freed[SLOTS];

/* ---- Store buffers ------------------------------------------------------------------------------------------------ */

inline flush()
{
    ctr = buffer[0];
    buffer[0] = buffer[1];
    buffer[1] = 0;
    used--
}

inline fence()
{
    atomic {
        do
        :: used > 0 -> flush()
        :: else -> break
        od
    }
}

inline store_ctr(what)
{
    atomic { used < ROOM -> buffer[used] = what; used++ }
}

inline fence_mutator()
{
    atomic {
        filled[0] = filled[0] && !late[0];
        filled[1] = filled[1] && !late[1];
        late[0] = 0;
        late[1] = 0
    }
}

proctype processor()
{
end:
    do
    :: atomic { used > 0 -> flush() }
    :: late[0] || late[1] -> fence_mutator()
    od
}

/* ---- The reader ------------------------------------------------------------------------------------------------------ */

proctype reader()
{
    byte n, e, s;

    do
    :: n == SECTIONS -> break
    :: n < SECTIONS ->
        n++;
        e = epoch;
        store_ctr(INSIDE(e));
        if
#ifndef NO_EXCHANGE
        :: fences ->
            e = epoch;
            store_ctr(INSIDE(e));
            fence()
#endif
        :: else
        fi;
        if
        :: s = 0
        :: s = 1
        fi;
        if
        :: filled[s] -> assert(!freed[s]); assert(!freed[s]) /* read; used a while later */
        :: else
        fi;
        store_ctr(OUTSIDE(e));
        atomic { e = 0; s = 0 }
    od
}

/* ---- The mutator -------------------------------------------------------------------------------------------------- */

inline take_ticket()
{
    atomic {
#ifndef PLAIN_DISPLACEMENT
        fence_mutator();
#endif
        epoch++;
#ifdef OFF_BY_ONE
        t = epoch - 1
#else
        t = epoch
#endif
    }
}

inline displace(s)
{
#ifdef PLAIN_DISPLACEMENT
    late[s] = 1
#else
    filled[s] = 0
#endif
}

inline seal()
{
    take_ticket();
    if
    :: logged[0] && !ticket[0] -> ticket[0] = t
    :: else
    fi;
    if
    :: logged[1] && !ticket[1] -> ticket[1] = t
    :: else
    fi
}

#define CAN_SEAL ((logged[0] && !ticket[0]) || (logged[1] && !ticket[1]))

proctype mutator()
{
    byte n, t;

    do
    :: n < SLOTS ->
#ifdef TICKET_TOO_EARLY
        take_ticket();
        displace(n);
        ticket[n] = t;
#else
        displace(n);
#endif
        logged[n] = 1;
#ifdef SEAL_COVERS_LATER
        ticket[n] = t;
#endif
        n++
    :: CAN_SEAL -> seal()
    :: ticket[0] && !freed[0] && done >= ticket[0] -> freed[0] = 1
    :: ticket[1] && !freed[1] && done >= ticket[1] -> freed[1] = 1
    :: freed[0] && freed[1] -> break
    od
}

/* ---- Pollers ------------------------------------------------------------------------------------------------------ */

inline membarrier()
{
    if
#ifndef NO_MEMBARRIER
    :: !fences -> fence()
#endif
    :: else
    fi
}

/* The newest epoch that every later load of ctr is ordered after. */
inline barrier_epoch()
{
    min = barriered;
    if
    :: min >= t
    :: min < t ->
#ifdef BARRIER_TOO_EARLY
        membarrier();
        min = epoch;
#else
        min = epoch;
#ifdef BARRIER_CLAIMED_EARLY
        barriered = (min > barriered -> min : barriered);
#endif
        membarrier();
#endif
        barriered = (min > barriered -> min : barriered)
    fi
}

inline scan()
{
#ifdef IGNORE_OPEN
    skip
#else
    atomic {
        if
        :: NEST(ctr) && EPOCH(ctr) < min -> min = EPOCH(ctr)
        :: else
        fi
    }
#endif
}

inline poll(wanted)
{
    t = wanted;
    barrier_epoch();
    scan();
#ifdef EPOCH_TOO_LATE
    min = (min >= t -> epoch : min);
#endif
    atomic {
        done = (min > done -> min : done);
        min = 0;
        t = 0
    }
}

proctype poller()
{
    byte t, min;

    do
    :: ticket[0] > done -> poll(ticket[0])
    :: ticket[1] > done -> poll(ticket[1])
    :: freed[0] && freed[1] -> break
    od
}

init
{
    atomic {
        if
#ifndef NO_EXCHANGE
        :: fences = 0
#endif
        :: fences = 1
        fi;
        filled[0] = 1;
        filled[1] = 1;
        run reader();
        run mutator();
        run poller();
#if POLLERS > 1
        run poller();
#endif
        run processor()
    }
}
