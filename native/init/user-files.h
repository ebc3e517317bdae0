/* /etc/passwd and /etc/group as text: passwd(5), group(5). Lines that are malformed are passed over. */
#ifndef BERTH_INIT_USER_FILES_H
#define BERTH_INIT_USER_FILES_H

#include "../text.h"

struct passwd_entry {
	struct span name;
	uint32_t uid;
	uint32_t gid;
	struct span home;
};

bool find_passwd_by_name(struct span passwd, struct span name, struct passwd_entry *entry);
bool find_passwd_by_uid(struct span passwd, uint32_t uid, struct passwd_entry *entry);
bool find_group_by_name(struct span group, struct span name, uint32_t *gid);
/* The next group that lists `user` as a member; advances `group`. */
bool next_group_of(struct span *group, struct span user, uint32_t *gid);
/* An id that chown(2) takes: all bits set means "unchanged" there and is no id. */
bool to_id(struct span text, uint32_t *id);

#endif
