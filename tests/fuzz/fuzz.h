/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - an entry for bytes: run by libFuzzer (./dev fuzz), and by replay.c on the corpus in the tree
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#endif
