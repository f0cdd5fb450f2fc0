/* SPDX-License-Identifier: MIT
 *
 * client.h - a connection, and what commands are given
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "heap.h"
#include "reply.h"
#include "resp.h"

struct options {
    const char *bind;
    unsigned    port, threads;
    bool        metrics;       /* is there a metrics port? */
    unsigned    metrics_port;
    const char *page;          /* a file shown at / of the metrics port, or NULL */
    size_t      maxmemory;     /* bytes; 0: no limit */
    unsigned    maxclients;
    unsigned    timeout;       /* seconds after which a silent client is closed; 0: never */
    size_t      output_limit;  /* bytes that may wait for one client */
};

struct loop;

struct client {
    struct client *next, *previous; /* of its loop */
    struct loop   *loop;
    int            fd;
    bool           waits;      /* for the socket to take more */
    bool           closing;    /* after what waits is written */
    uint64_t       id;
    int64_t        active;     /* when it was heard of last */
    char          *in;         /* what is left of the last read; NULL: nothing */
    size_t         in_used, in_capacity;
    struct resp    parser;
    struct reply   out;
    char           name[64];
};

/* Shared by all threads. */
struct server {
    struct options options;
    int64_t        started;
    uint64_t       connections; /* a: accepted so far */
    unsigned       clients;     /* a: now */
    uint64_t       refused;     /* a */
    uint64_t       dropped;     /* a: for what waited for them, or for their silence */
    uint64_t       commands;    /* a: executed, added up by each loop now and then */
    int            stop;        /* an eventfd: readable when the server shall end */
};
extern struct server server;

#endif
