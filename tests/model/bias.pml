/* SPDX-License-Identifier: MIT
 *
 * bias.pml - one object, its owner, strangers, the merge queue (src/count.c; src/unit.c: wn_unit_give; src/tend.c: drain_one;
 * src/handoff.c: bias_anew; src/weak.c: upgrade; src/review.c: request; docs/design.md, section 2)
 *
 * Three threads hand at most UNITS units of one object around, retain and release, without end. Each has a record with a queue;
 * at first the object is biased to thread 0. Who holds the only unit of a merged object may bias it anew to itself. In half of
 * the runs the object has a weak reference, which thread 2 upgrades. The collector makes REQUESTS requests: it claims the
 * object, waits for a grace period, asks the owner to merge it, waits until that is done, and lets go. Whoever acts for a record
 * is one process here (claim.pml). word1 has no version: a CAS knows by itself whether somebody has changed the word since the
 * look (`same`).
 *
 * Properties (assertions)
 *   no use after free   no access to a header once its memory is free; who frees is the only one, and no unit is left
 *   equation            local + count = units, whenever no merge or renewal is under way
 *   one entry           the object is on one queue at most
 *   nothing is lost     when nothing can move any more: the object is free, and the collector has its answer
 *
 * Broken variants, each must fail
 *   SUBTRACT_THEN_QUEUE        a stranger subtracts first; who takes the count below zero then sets QUEUED and pushes
 *   NEGATIVE_WITHOUT_QUEUED    .. does nothing more
 *   MERGED_BEFORE_WORD0_GIVEN  the owner's last release publishes MERGED, then clears word0
 *   LOOK_AT_LOCAL_ONLY         the owner's last release frees without a look at word1
 *   DEATH_IGNORES_WEAK         .. takes an object with a weak reference for one that nobody else knows
 *   REQUEST_WITHOUT_UNIT       the collector's request looks like a queued unit, but there is none
 *   REQUEST_WITHOUT_GRACE      .. comes between a plain death's two looks at word1: no grace period since the claim
 *   RENEW_BY_STORE             a new bias is stored, not swapped in: a claim since the look is lost
 *
 * Also right, as far as this model goes (the queue's unit holds the object meanwhile): the owner read after the CAS that gives a
 * unit to the queue; a drain that publishes MERGED before it gives word0 up.
 *
 * Larger bounds that were run: UNITS 4: 13.2 million states; REQUESTS 2: 6.5 million.
 *
 * Sequentially consistent. Not modelled: transit (wane_give), shared objects, candidate marks, finalizers, saturation; plain
 * death against a claim (death.pml); a thread that stops between its CAS and its push (that unit leaks, nobody waits for it).
 *
 * VARIANTS: SUBTRACT_THEN_QUEUE NEGATIVE_WITHOUT_QUEUED MERGED_BEFORE_WORD0_GIVEN
 * VARIANTS: LOOK_AT_LOCAL_ONLY DEATH_IGNORES_WEAK REQUEST_WITHOUT_UNIT REQUEST_WITHOUT_GRACE RENEW_BY_STORE
 * LARGER: UNITS=4 REQUESTS=2
 * LIMITS: -m100000
 */
#ifndef UNITS
#define UNITS 3
#endif
#ifndef REQUESTS
#ifdef SUBTRACT_THEN_QUEUE
#define REQUESTS 0
#else
#define REQUESTS 1
#endif
#endif
#define THREADS   3
#define COLLECTOR 3 /* it stands on a record, too */
#define NOBODY    4

/* word0: written by the owner, or by who renews the bias */
byte  owner;
byte  local_count = 1;
/* word1 */
short count;
bit   merged, queued, weak, claimed, dead;

bit freed;
bit on_queue[4];
bit same[4];  /* word1 is what this process has seen */
byte owned[4];
byte in_queue; /* the queue's units: 1 from the CAS that sets QUEUED to the drain */
bit  judging[4], waited_for[4]; /* in the section in which the last local unit goes; the collector waits for its end */
bit  answered; /* the collector has made its requests */
byte under_way; /* ghost: merges and renewals between their two steps */

#define ALL_UNITS (owned[0] + owned[1] + owned[2] + owned[COLLECTOR] + in_queue)
#define GONE      (dead || (merged && count == 0))

inline access()
{
    assert(!freed)
}

inline changed()
{
    same[0] = 0;
    same[1] = 0;
    same[2] = 0;
    same[3] = 0
}

/* After a count change: I1. */
inline check()
{
    assert(under_way > 0 || local_count + count == ALL_UNITS)
}

inline free_memory()
{
    assert(!freed && ALL_UNITS == 0);
    freed = 1
}

/* word1 says gone: the caller is the killer. A claimed object's memory is the collector's. */
inline die()
{
    if
    :: claimed -> dead = 1; changed()
    :: else -> free_memory()
    fi
}

/* ---- The owner ---------------------------------------------------------------------------------------------------- */

inline give_word0_up()
{
    access();
    owner = NOBODY;
    local_count = 0
}

inline publish_merged(added)
{
    access();
    count = count + added;
    assert(count >= 0);
    merged = 1;
    changed()
}

inline last_local_unit()
{
    atomic {
        access();
        judging[me] = 1;
        known = count != 0 || queued || claimed || weak;
#ifdef LOOK_AT_LOCAL_ONLY
        known = weak
#endif
#ifdef DEATH_IGNORES_WEAK
        known = count != 0 || queued || claimed
#endif
    };
    if
    :: !known ->
        /* Nobody else knows it. The collector may have claimed it since: then it dies in word1. */
        atomic {
            access();
            owned[me]--;
            if
            :: claimed -> merged = 1; changed()
            :: else
            fi;
            give_word0_up();
            die()
        }
    :: known ->
#ifdef MERGED_BEFORE_WORD0_GIVEN
        atomic { under_way++; owned[me]--; publish_merged(0); known = (count == 0) };
        atomic { give_word0_up(); under_way--; check() };
        if
        :: known -> atomic { die() }
        :: else
        fi
#else
        atomic { give_word0_up(); under_way++ };
        atomic {
            under_way--;
            owned[me]--;
            publish_merged(0);
            check();
            if
            :: count == 0 -> die()
            :: else
            fi
        }
#endif
    fi;
    atomic { known = 0; judging[me] = 0; waited_for[me] = 0 }
}

/* ---- Strangers ---------------------------------------------------------------------------------------------------- */

inline push(to_queue)
{
    atomic {
        assert(!on_queue[0] && !on_queue[1] && !on_queue[2] && !on_queue[3]);
        on_queue[to_queue] = 1
    }
}

/* What to do with a word1 that was looked at. */
#define LOOKING 0
#define DROP    1 /* merged */
#define TAKE    2 /* one less in word1: it is above zero, or the queue's unit keeps the object */
#define QUEUE   3 /* give the unit to the queue */
#define DONE    4

/* The owner read before; while it is in the middle of a merge there is none: to the own queue. */
inline push_to_owner()
{
    if
    :: to == NOBODY -> push(me)
    :: else -> push(to)
    fi;
    to = 0
}

inline drop_merged()
{
    atomic {
        access();
        owned[me]--;
        count--;
        changed();
        check();
        if
        :: count == 0 -> die()
        :: else
        fi
    }
}

#ifdef SUBTRACT_THEN_QUEUE
inline release_stranger()
{
    atomic {
        access();
        owned[me]--;
        count--;
        changed();
        s = (merged && count == 0 -> 1 : (!merged && count < 0 && !queued -> 2 : 0));
        to = owner;
        if
        :: s == 1 -> die()
        :: else
        fi
    };
    if
    :: s == 2 ->
        atomic {
            access();
            if
            :: queued -> s = 0
            :: else -> queued = 1; changed()
            fi
        };
        if
        :: s == 2 -> push_to_owner()
        :: else
        fi
    :: else
    fi;
    s = 0
}
#else
#ifdef NEGATIVE_WITHOUT_QUEUED
#define MAY_TAKE true
#else
#define MAY_TAKE (count > 0 || queued)
#endif

inline release_stranger()
{
    do
    :: s == DONE -> break
    :: s != DONE ->
        atomic {
            access();
            same[me] = 1;
            s = (merged -> DROP : (MAY_TAKE -> TAKE : QUEUE))
        };
        atomic { access(); to = owner };
        if
        :: s == DROP -> drop_merged(); s = DONE
        :: s == TAKE ->
            atomic {
                access();
                if
                :: same[me] -> owned[me]--; count--; changed(); check(); s = DONE
                :: else -> s = LOOKING
                fi
            }
        :: s == QUEUE ->
            atomic {
                access();
                if
                :: same[me] -> owned[me]--; in_queue++; queued = 1; changed(); check()
                :: else -> s = LOOKING
                fi
            };
            if
            :: s == QUEUE ->
                push_to_owner();
                s = DONE
            :: else
            fi
        fi
    od;
    atomic { s = LOOKING; to = 0 }
}
#endif

inline release()
{
    if
    :: atomic { owner == me && local_count >= 2 -> access(); local_count--; owned[me]--; check() }
    :: owner == me && local_count == 1 -> last_local_unit()
    :: owner != me -> release_stranger()
    fi
}

/* The owner can retain without end while others release: neither word goes above UNITS here. */
#define MAY_RETAIN (owned[me] > 0 && ALL_UNITS < UNITS && (owner == me -> local_count : count) < UNITS)

inline retain()
{
    access();
    owned[me]++;
    if
    :: owner == me -> local_count++
    :: else -> count++; changed()
    fi;
    check()
}

/* ---- Queue, renewal, upgrade --------------------------------------------------------------------------------------- */

/* The queue's unit is the drainer's now: an ordinary one, which it releases. (A thread may do here what any holder may.) */
inline take_unit()
{
#ifdef SUBTRACT_THEN_QUEUE
    if
    :: count == 0 -> die() /* there is none */
    :: else
    fi
#else
    in_queue--;
    owned[me]++
#endif
}

/* An entry of the own queue. */
inline drain()
{
    on_queue[me] = 0;
    if
    :: owner == me ->
        atomic { access(); under_way++; s = local_count; give_word0_up() };
        atomic { under_way--; queued = 0; publish_merged(s); check(); s = 0; take_unit() }
    :: owner != me && merged ->
        atomic { access(); queued = 0; changed(); take_unit() }
    :: owner != me && !merged -> /* another owner's, or in the middle of a merge */
        to = owner;
        push_to_owner()
    fi
}

/* The only unit is the caller's: back into word0. */
#define MAY_RENEW (merged && count == 1 && !queued && !claimed && !weak)
inline renew()
{
    atomic { access(); owner = me; local_count = 1 };
    atomic {
        access();
        under_way--;
        if
#ifndef RENEW_BY_STORE
        :: !same[me] -> owner = NOBODY; local_count = 0
        :: same[me] -> merged = 0; count--; changed()
#else
        :: true -> merged = 0; count--; claimed = 0; changed()
#endif
        fi;
        check()
    }
}

/* The word was looked at, and was not gone. */
inline upgrade()
{
    atomic {
        if
        :: same[me] -> access(); count++; owned[me]++; changed(); check()
        :: else
        fi
    }
}

proctype thread(byte me)
{
    byte s, to;
    bit  known;

    do
    :: atomic { MAY_RETAIN -> retain() }
    :: owned[me] > 0 -> release()
    :: atomic { owned[me] > 0 -> owned[me]--; owned[(me + 1) % THREADS]++ }
    :: on_queue[me] -> drain()
    :: atomic { owned[me] > 0 && MAY_RENEW -> same[me] = 1; under_way++ }; renew()
    /* Memory with a weak reference outlives the object by a grace period: looking at word1 is allowed. */
    :: atomic { weak && me == 2 && owned[me] == 0 && ALL_UNITS < UNITS && !GONE && !freed -> same[me] = 1 }; upgrade()
    od
}

/* ---- The collector ------------------------------------------------------------------------------------------------- */

/* Not of the dying: QUEUED, and a unit that the drain drops again. It has found the object through a slot: somebody's unit. */
inline request()
{
    do
    :: s == DONE -> break
    :: s != DONE ->
        atomic { access(); same[me] = 1; s = (merged || queued || GONE -> LOOKING : QUEUE) };
        atomic { access(); to = owner };
        atomic {
            access();
            if
            :: s == QUEUE && same[me] ->
                queued = 1;
                in_queue++;
#ifndef REQUEST_WITHOUT_UNIT
                count++;
#endif
                changed()
            :: s == LOOKING -> s = DONE /* it is merged, will be, or dies */
            :: else -> s = LOOKING
            fi
        };
        if
        :: s == QUEUE -> push_to_owner(); s = DONE
        :: else
        fi
    od;
    atomic { s = LOOKING; to = 0 }
}

proctype collector()
{
    byte me = COLLECTOR;
    byte n, s, to;
    bit  known;

    do
    :: n == REQUESTS -> break
    :: n < REQUESTS ->
        n++;
        atomic {
            if
            :: ALL_UNITS > 0 -> access(); claimed = 1; changed()
            :: else -> break
            fi
        };
#ifndef REQUEST_WITHOUT_GRACE
        atomic { waited_for[0] = judging[0]; waited_for[1] = judging[1]; waited_for[2] = judging[2] };
        !waited_for[0] && !waited_for[1] && !waited_for[2];
#endif
        request();
        do
        :: (merged && !queued) || dead -> break
        :: on_queue[me] -> drain()
        :: owned[me] > 0 -> release()
        od;
        atomic {
            access();
            claimed = 0;
            changed();
            if
            :: dead -> free_memory()
            :: else
            fi
        }
    od;
    do
    :: on_queue[me] -> drain() /* whoever acts for its record */
    :: owned[me] > 0 -> release()
    :: atomic { !answered -> answered = 1 }
    od
}

proctype rest()
{
    atomic { timeout -> assert(freed && answered) }
}

init
{
    atomic {
        if
#ifndef DEATH_IGNORES_WEAK
        :: weak = 0
#endif
        :: weak = 1
        fi;
        owned[0] = 1;
        run thread(0);
        run thread(1);
        run thread(2);
        run collector();
        run rest()
    }
}
