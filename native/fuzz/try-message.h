/* What the fuzz tests feed: a message, checked and then read as launcher, monitor and init read it. */
#ifndef BERTH_FUZZ_TRY_MESSAGE_H
#define BERTH_FUZZ_TRY_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict { REFUSED, TAKEN, NO_SUCH_TYPE };

/* u16 type, u8 number of fds, body. Ends the program when a promise of the parser does not hold. */
enum verdict try_message(const uint8_t *bytes, size_t length);

#endif
