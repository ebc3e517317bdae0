/* `make fuzz`: LLVM's libFuzzer finds by coverage what to feed. */
#include "try-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	try_message(bytes, length);
	return 0;
}
