/* What an OCI runtime's binary writes into its log (--log-format json). */
#include "../kernel.h"
#include "oci-words.h"

#include <string.h>

/* The value of "msg" of a line of JSON, as text. */
static bool read_message(struct span line, char *message, size_t capacity)
{
	static const char key[] = "\"msg\":\"";
	const uint8_t *at = memmem(line.bytes, line.length, key, sizeof key - 1);
	const uint8_t *end = line.bytes + line.length;
	size_t length = 0;
	if (at == NULL)
		return false;
	for (at += sizeof key - 1; at < end && *at != '"' && length + 1 < capacity; at++) {
		uint8_t byte = *at;
		if (byte == '\\' && at + 1 < end) {
			byte = *++at;
			if (byte == 'u')
				at = at + 4 < end ? at + 4 : end - 1;
			byte = byte == 'n' || byte == 't' || byte == 'r' ? ' ' : byte == 'u' ? '?' : byte;
		}
		message[length++] = (char)byte;
	}
	message[length] = 0;
	return true;
}

bool oci_last_message(struct span log, char *message, size_t capacity)
{
	bool found = false;
	bool severe = false;
	while (log.length > 0) {
		const uint8_t *newline = memchr(log.bytes, '\n', log.length);
		uint32_t length = newline == NULL ? log.length : (uint32_t)(newline - log.bytes);
		struct span line = {log.bytes, length};
		bool now = memmem(line.bytes, line.length, "\"level\":\"error\"", 15) != NULL || memmem(line.bytes, line.length, "\"level\":\"fatal\"", 15) != NULL;
		if (length > 0 && (now || !severe) && read_message(line, message, capacity)) {
			found = true;
			severe = now;
		}
		length += newline == NULL ? 0 : 1;
		log = (struct span){log.bytes + length, log.length - length};
	}
	return found;
}

int oci_exec_error(const char *message)
{
	bool is_exec = strstr(message, "exec: \"") != NULL || strstr(message, "executable file") != NULL || strstr(message, "open executable") != NULL ||
		       strstr(message, "exec container process") != NULL;
	if (!is_exec)
		return 0;
	if (strstr(message, "not found in $PATH") != NULL || strcasestr(message, "no such file or directory") != NULL)
		return ENOENT;
	if (strcasestr(message, "exec format error") != NULL)
		return ENOEXEC;
	return strcasestr(message, "permi") != NULL ? EACCES : 0;
}
