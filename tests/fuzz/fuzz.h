/* What every fuzz target has: one function over hostile bytes.
 *
 * Built with clang and -Dfuzz=true it is a libFuzzer target; in every ordinary build
 * replay.c calls the same function with each file of tests/fuzz/corpus/TARGET, whole
 * and (where the parser is incremental) the target itself feeds it one byte at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
