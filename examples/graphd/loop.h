/* SPDX-License-Identifier: MIT
 *
 * loop.h - threads that serve clients, each with an epoll of its own
 */
#ifndef LOOP_H
#define LOOP_H

#include <pthread.h>

#include "client.h"

#define SERVER_VERSION "7.0.0" /* of Redis: what clients look at to know which commands there are */

struct loop {
    pthread_t      thread;
    unsigned       number;
    int            epoll;
    int            wake;    /* an eventfd: readable when the loop shall end */
    struct client *clients; /* the thread's own, as all that follows */
    char          *buffer;
    uint64_t       commands;
    bool           ends;
};

/* Returns false, with errno. */
bool loop_start(struct loop *l, unsigned number);

/* Give a connected, non-blocking socket to a loop; any thread. False: it could not be taken, and is still the caller's. */
bool loop_give(struct loop *l, int fd);

/* Clients are sent what waits for them, as far as their sockets take it, and closed. */
void loop_end(struct loop *l);

/* Any thread: the server shall end. */
void server_stop(void);

#endif
