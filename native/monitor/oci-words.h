/* What an OCI runtime's binary writes into its log (--log-format json). */
#ifndef BERTH_MONITOR_OCI_WORDS_H
#define BERTH_MONITOR_OCI_WORDS_H

#include "../text.h"

/* What went wrong last: of the lines of level "error" or "fatal" the last, else the last of all; cut when longer. False: there is none. */
bool oci_last_message(struct span log, char *message, size_t capacity);
/* The errno of what runc and crun say when there is nothing that could be executed; 0: something else went wrong. */
int oci_exec_error(const char *message);

#endif
