/* SPDX-License-Identifier: MIT
 *
 * adopt.pml - records change hands and are made (src/record.c: adopt_free, make, wn_record_free, wn_record_backlog; src/tend.c:
 * wn_tend; src/unit.c: wn_queue_push; src/background.c: run; src/grace.c: fall_back_to_fences; docs/design.md, section 3)
 *
 * Two parts; a run is of either.
 *
 * Hands: one record. Two threads come LIVES times each: who finds the record free adopts it, counts on it in a section (word0
 * of what is biased to its id, from whoever held it before), logs a displaced unit, tends the record or not, and gives it up.
 * STRANGERS push an object each to its queue, by the id that they have read long ago, and report a backlog. The background looks
 * at the record, acts for it while it is in no section, and sleeps when nothing waits there. Sections and claims exclude each
 * other (claim.pml).
 *
 * Making: two threads make a record each. Meanwhile membarrier is lost: all records get the FENCE bit. x86-TSO: plain stores
 * that others wait for go through a buffer.
 *
 * Properties (assertions)
 *   one holder       of all that hold the record's id, each reads in word0 what the last one has written
 *   nothing is lost  when nothing can move any more: the queue is empty, and no unit waits, whoever has left
 *   own ids          no two records are made with one id
 *   fences           at the end, every record that was made has the FENCE bit
 *
 * Broken variants, each must fail
 *   HOLDER_BY_STORE        the record is adopted by a look and a store
 *   SILENT_BACKLOG         who clears the backlog and then finds something in the queue sets it again, and wakes nobody
 *   REPORT_BEFORE_PUSH     a stranger reports the backlog, then pushes
 *   ONLY_HELD              the background passes over records that nobody holds
 *   WAKE_LOST              the background reads its event after its look, and not before
 *   LOG_DIES_WITH_HOLDER   who adopts the record begins with an empty log
 *   ID_BY_STORE            the next id is read, then stored
 *   BITS_READ_ONCE         make reads whether fences are needed before it publishes the record, and not again
 *   PUBLISH_WITHOUT_FENCE  .. reads it again, without a fence in between
 *   LOSS_WITHOUT_FENCE     .. and so does the loss: no fence between its word and its look at the records
 *
 * Larger bounds that were run: STRANGERS 2: 6.9 million states.
 *
 * Also right here: no look at the queue after the backlog was cleared, for the background looks at the queue, too.
 *
 * Not modelled: the order of the holders' plain stores (claim.pml: FREE_BEFORE_CLOSE), records in static memory, forks.
 *
 * VARIANTS: HOLDER_BY_STORE SILENT_BACKLOG REPORT_BEFORE_PUSH ONLY_HELD WAKE_LOST LOG_DIES_WITH_HOLDER
 * VARIANTS: ID_BY_STORE BITS_READ_ONCE PUBLISH_WITHOUT_FENCE LOSS_WITHOUT_FENCE
 * LARGER: STRANGERS=2
 * LIMITS: -m100000
 */
#ifndef LIVES
#define LIVES 2
#endif
#ifndef STRANGERS
#define STRANGERS 1
#endif

/* ---- Hands --------------------------------------------------------------------------------------------------------- */

bit  holder;
byte sections; /* open on the record */
bit  claimed;
byte word0;
byte in_log;
byte queue;
bit  backlog;
byte event;   /* signals to the background */

byte written; /* ghost: what word0 should read */
byte units;   /* ghost: displaced and not given back */

inline report()
{
    if
    :: backlog -> skip /* somebody has said so */
    :: else -> backlog = 1; event++
    fi
}

/* By whoever is in the section, or acts for the record. */
inline tend()
{
    queue = 0; /* what was taken is given back at once */
    if
    :: atomic { units = units - in_log; in_log = 0 }
    :: in_log > 0 -> skip /* its grace period is not over */
    fi;
    if
    :: in_log > 0
    :: in_log == 0 ->
        backlog = 0;
        if
#ifdef SILENT_BACKLOG
        :: queue > 0 -> backlog = 1
#else
        :: queue > 0 -> report()
#endif
        :: queue == 0
        fi
    fi
}

inline adopt()
{
#ifdef HOLDER_BY_STORE
    if
    :: !holder -> holder = 1; got = 1
    :: else
    fi
#else
    atomic {
        if
        :: !holder -> holder = 1; got = 1
        :: else /* another record, of no interest here */
        fi
    }
#endif
}

proctype thread()
{
    byte n, w;
    bit  got;

    do
    :: n == LIVES -> break
    :: n < LIVES ->
        n++;
        adopt();
        if
        :: got ->
#ifdef LOG_DIES_WITH_HOLDER
            in_log = 0;
#endif
            atomic { !claimed -> sections++ };
            w = word0;
            assert(w == written);
            word0 = w + 1;
            written++;
            atomic { in_log++; units++ };
            report();
            if
            :: tend()
            :: skip
            fi;
            sections--;
            atomic { holder = 0; got = 0; w = 0 }
        :: else
        fi
    od
}

proctype stranger()
{
#ifdef REPORT_BEFORE_PUSH
    report();
    queue++
#else
    queue++; /* one RMW */
    report()
#endif
}

#ifdef ONLY_HELD
#define WORK (holder && (backlog || queue > 0))
#else
#define WORK (backlog || queue > 0)
#endif

proctype background()
{
    byte value;

    do
    :: true ->
#ifndef WAKE_LOST
        value = event;
#endif
        if
        :: WORK ->
            if
            :: atomic { !sections -> claimed = 1 }; tend(); claimed = 0
            :: sections -> skip /* a look later */
            fi
        :: else ->
#ifdef WAKE_LOST
            value = event;
#endif
            event != value /* asleep */
        fi
    od
}

/* ---- Making -------------------------------------------------------------------------------------------------------- */

byte limit;         /* ids given out */
bit  made[3];       /* ghost: by id; 0 is none */
bit  published[3];
bit  publishing[3]; /* .. is in its maker's store buffer */
bit  fence_bit[3];
bit  fences;
bit  losing;        /* fences = 1 is in the driver's store buffer */

proctype buffers()
{
    do
    :: atomic { publishing[1] -> publishing[1] = 0; published[1] = 1 }
    :: atomic { publishing[2] -> publishing[2] = 0; published[2] = 1 }
    :: atomic { losing -> losing = 0; fences = 1 }
    od
}

proctype maker()
{
    byte id;
    bit  bits;

#ifdef ID_BY_STORE
    id = limit + 1;
    limit = id;
#else
    atomic { limit++; id = limit };
#endif
    atomic { assert(!made[id]); made[id] = 1 };
    fence_bit[id] = fences;
    publishing[id] = 1;
#ifndef PUBLISH_WITHOUT_FENCE
    !publishing[id]; /* fence */
#endif
#ifndef BITS_READ_ONCE
    bits = fences;
    atomic { !publishing[id] -> fence_bit[id] = fence_bit[id] || bits } /* RMW */
#endif
}

inline set_bit(id)
{
    if
    :: published[id] -> atomic { !losing -> fence_bit[id] = 1 } /* RMW */
    :: else
    fi
}

proctype loss()
{
    losing = 1;
#ifndef LOSS_WITHOUT_FENCE
    !losing; /* fence */
#endif
    set_bit(1);
    set_bit(2)
}

/* ---- Both ---------------------------------------------------------------------------------------------------------- */

proctype rest()
{
    atomic {
        timeout ->
        assert(queue == 0 && units == 0);
        assert(!fences || ((!made[1] || fence_bit[1]) && (!made[2] || fence_bit[2])))
    }
}

init
{
    atomic {
        if
        :: run maker(); run maker(); run loss(); run buffers()
        :: run thread(); run thread(); run background(); run stranger();
#if STRANGERS > 1
            run stranger()
#endif
        fi;
        run rest()
    }
}
