/* A descriptor that comes with a message (unix(7), SCM_RIGHTS). */
#ifndef BERTH_PASSED_FD_H
#define BERTH_PASSED_FD_H

#include <sys/socket.h>

/*
 * The one that a received message brought; -1: none, or several, which are closed. A buffer of CMSG_SPACE(sizeof(int)) bytes holds two: the
 * kernel fills the padding as well.
 */
int take_passed_fd(struct msghdr *header);

#endif
