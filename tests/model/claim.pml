/* SPDX-License-Identifier: MIT
 *
 * claim.pml - the claim of a record against enter (include/wane/fast.h: wane_enter, wane_leave; src/section.c: confirm, borrow,
 * give_back, thread_exits; src/driver.c: try_claim; docs/design.md, section 3)
 *
 * Two records. Thread 0 is at home on record 0, goes through SECTIONS sections and exits. Thread 1 has no home (its exit has
 * begun): it borrows a record for each of its SECTIONS_OF_OTHER sections. Who finds its record claimed takes another one for
 * this section: record 1, record 0 once thread 0 has left it, or one that it makes. One driver makes CLAIMS claims of either
 * record; it may stop for ever after each of its steps. word0 stands for all that only the owner touches; a section counts
 * there once.
 *
 * x86-TSO: each thread's stores go through a buffer of ROOM; RMWs empty it. With membarrier the driver empties both buffers, one
 * after the other. Without (`fences`: both are tried) it empties none, and who enters does so itself, by an exchange.
 *
 * Properties (assertions)
 *   one owner   whoever stands on a record, or acts for it, reads in word0 what the last one has written there
 *   lock-free   borrowing starts over only if a claim has begun meanwhile
 *   no wait     the threads reach their ends wherever the driver has stopped (no invalid end state)
 *
 * Broken variants, each must fail
 *   NO_MEMBARRIER         the driver looks at ctr without one
 *   NO_EXCHANGE           without membarrier, who enters announces itself by a plain store
 *   LOOK_BEFORE_ANNOUNCE  enter loads the claim word before it stores ctr
 *   IGNORE_CLAIM          enter goes on although the record is claimed
 *   LEAVE_EARLY           ctr is cleared before the last store to word0
 *   IGNORE_CTR            the driver acts although somebody stands on the record
 *   FREE_BEFORE_CLOSE     a lent record is given up (holder) before its ctr is cleared
 *   LENT_COUNTS_AT_HOME   a thread on a lent record goes on as the owner of what is biased to its home
 *   WAIT_FOR_CLAIM        enter waits for the end of the claim
 *
 * Larger bounds that were run: SECTIONS_OF_OTHER 2: 10.9 million states.
 *
 * Not modelled: the driver's own buffer (its RMWs on the claim word stand around all that it does), a loss of membarrier while
 * the program runs, nested sections, the case that no record can be made (there, enter waits: src/record.c).
 *
 * VARIANTS: NO_MEMBARRIER NO_EXCHANGE LOOK_BEFORE_ANNOUNCE IGNORE_CLAIM LEAVE_EARLY IGNORE_CTR
 * VARIANTS: FREE_BEFORE_CLOSE LENT_COUNTS_AT_HOME WAIT_FOR_CLAIM
 * LARGER: SECTIONS_OF_OTHER=2
 * LIMITS: -m100000
 * ENDS: checked
 */
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef SECTIONS_OF_OTHER
#define SECTIONS_OF_OTHER 1
#endif
#ifndef CLAIMS
#define CLAIMS 2
#endif
#ifndef ROOM
#define ROOM 3
#endif

#define MADE 2 /* a record that the thread has just made: nobody else knows it */
#define NONE 3

/* ---- Memory and store buffers ------------------------------------------------------------------------------------ */

#define CTR(r)    (r)
#define WORD0(r)  (2 + (r))
#define HOLDER(r) (4 + (r))

typedef Buffer {
    byte place[ROOM];
    byte value[ROOM];
    byte used
};

byte   memory[6];
Buffer buffer[2];
bit    claim[2]; /* changed by RMWs only */
bit    fences;

byte written[2]; /* ghost: what word0 of this record should read */
byte claims;     /* ghost: claims that have begun */

inline store(me, where, what)
{
    atomic {
        buffer[me].used < ROOM ->
        buffer[me].place[buffer[me].used] = where;
        buffer[me].value[buffer[me].used] = what;
        buffer[me].used++
    }
}

/* The oldest store of `who` becomes visible. */
inline flush(who)
{
    memory[buffer[who].place[0]] = buffer[who].value[0];
    i = 1;
    do
    :: i < buffer[who].used ->
        buffer[who].place[i - 1] = buffer[who].place[i];
        buffer[who].value[i - 1] = buffer[who].value[i];
        i++
    :: else -> break
    od;
    buffer[who].used--;
    buffer[who].place[buffer[who].used] = 0;
    buffer[who].value[buffer[who].used] = 0;
    i = 0
}

inline fence(who)
{
    atomic {
        do
        :: buffer[who].used > 0 -> flush(who)
        :: else -> break
        od
    }
}

/* A thread reads its own newest store. */
inline load(me, where, what)
{
    atomic {
        what = memory[where];
        do
        :: i < buffer[me].used ->
            if
            :: buffer[me].place[i] == where -> what = buffer[me].value[i]
            :: else
            fi;
            i++
        :: else -> break
        od;
        i = 0
    }
}

proctype processor(byte who)
{
    byte i;

end:
    do
    :: atomic { buffer[who].used > 0 -> flush(who) }
    od
}

/* ---- Threads ------------------------------------------------------------------------------------------------------ */

/* Enter on r: may this thread stand here? */
inline enter(r, may)
{
#ifdef LOOK_BEFORE_ANNOUNCE
    may = !claim[r];
    store(me, CTR(r), 1);
#else
    store(me, CTR(r), 1);
    may = !claim[r];
#endif
    if
#ifndef NO_EXCHANGE
    :: fences -> fence(me); may = !claim[r]
#endif
    :: else
    fi;
#ifdef IGNORE_CLAIM
    may = 1;
#endif
#ifdef WAIT_FOR_CLAIM
    if
    :: !may -> !claim[r]; may = 1
    :: else
    fi;
#endif
}

inline close(r)
{
    store(me, CTR(r), 0)
}

inline give_up(r)
{
    store(me, HOLDER(r), 0)
}

/* One plain retain of an object that is biased to r. */
inline count_on(r)
{
    load(me, WORD0(r), w);
    atomic { assert(w == written[r]); written[r]++ };
    store(me, WORD0(r), w + 1);
    w = 0
}

/* A section on r. */
inline section(r)
{
#ifdef LEAVE_EARLY
    close(r);
    count_on(r)
#else
    count_on(r);
    close(r)
#endif
}

/* Some other record for this section: a free one that is not claimed (src/record.c: adopt_free), or a new one. */
inline borrow()
{
    r = NONE;
    do
    :: r != NONE -> break
    :: r == NONE ->
        if
        :: atomic { !claim[0] -> claims_before = claims; r = 0 }
        :: atomic { !claim[1] -> claims_before = claims; r = 1 }
        :: r = MADE
        fi;
        if
        :: r < MADE ->
            fence(me);
            if
            :: atomic { memory[HOLDER(r)] == 0 -> memory[HOLDER(r)] = 1 };
                enter(r, may);
                if
                :: may
                :: !may ->
                    close(r);
                    give_up(r);
                    assert(claims != claims_before);
                    r = NONE
                fi
            :: else -> r = MADE /* it was taken; one that is free, or a new one, comes at last */
            fi
        :: else
        fi
    od;
    atomic { claims_before = 0; may = 0 }
}

inline give_back()
{
#ifdef FREE_BEFORE_CLOSE
    give_up(r);
    close(r)
#else
    close(r);
    give_up(r)
#endif
}

inline lent_section()
{
    borrow();
#ifdef LENT_COUNTS_AT_HOME
    if
    :: has_home -> count_on(0)
    :: else
    fi;
#endif
    if
    :: r < MADE -> count_on(r); give_back()
    :: else
    fi;
    r = 0
}

proctype thread(byte me; byte sections; bit has_home)
{
    byte n, i, r, w, claims_before;
    bit  may;

    do
    :: n == sections -> break
    :: n < sections && has_home ->
        n++;
        enter(0, may);
        if
        :: may -> may = 0; section(0)
        :: !may -> close(0); lent_section()
        fi
    :: n < sections && !has_home ->
        n++;
        lent_section()
    od;
    if
    :: has_home -> give_up(0) /* exit */
    :: else
    fi
}

/* ---- The driver --------------------------------------------------------------------------------------------------- */

#define MAY_STOP if :: skip :: goto stopped fi

inline membarrier()
{
    if
#ifndef NO_MEMBARRIER
    :: !fences -> fence(0); fence(1)
#endif
    :: else
    fi
}

proctype driver()
{
    byte n, i, r, w;

    do
    :: n == CLAIMS -> break
    :: n < CLAIMS ->
        n++;
        if
        :: r = 0
        :: r = 1
        fi;
        atomic { claim[r] = 1; claims++ };
        MAY_STOP;
        membarrier();
        MAY_STOP;
        if
#ifdef IGNORE_CTR
        :: true ->
#else
        :: memory[CTR(r)] == 0 ->
#endif
            MAY_STOP;
            atomic { w = memory[WORD0(r)]; assert(w == written[r]); written[r]++ };
            memory[WORD0(r)] = w + 1;
            w = 0
#ifndef IGNORE_CTR
        :: else
#endif
        fi;
        MAY_STOP;
        claim[r] = 0
    od;
stopped:
    skip
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
        memory[HOLDER(0)] = 1;
        run thread(0, SECTIONS, 1);
        run thread(1, SECTIONS_OF_OTHER, 0);
        run driver();
        run processor(0);
        run processor(1)
    }
}
