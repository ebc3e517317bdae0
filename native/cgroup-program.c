/* eBPF programs of cgroup2 directories: the filter of devices, the priority of what is sent. The daemon makes the instructions. */
#include "kernel.h"
#include "cgroup.h"

#include <limits.h>

enum { INSTRUCTION_BYTES = 8, MAX_INSTRUCTIONS = 65536 };

static int load(struct span instructions, uint32_t program_type, uint32_t attach_type)
{
	struct program_load load = {
		.program_type = program_type,
		.instruction_count = instructions.length / INSTRUCTION_BYTES,
		.instructions = (uint64_t)(uintptr_t)instructions.bytes,
		/* No helper that asks for the GPL is called. */
		.license = (uint64_t)(uintptr_t)"Apache-2.0",
		.name = "berth",
		.expected_attach_type = attach_type,
	};
	int fd = kernel_bpf_load(&load);
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fd;
}

int cgroup_attach_program(struct span program, struct failure *failure)
{
	char path[PATH_MAX];
	struct span directory = get_span_or_empty(program, TAG_PATH);
	struct span instructions = get_span_or_empty(program, TAG_INSTRUCTIONS);
	uint32_t attach_type = get_u32(program, TAG_ATTACH_TYPE, 0);
	if (!span_to_string(directory, path, sizeof path))
		return fail_at_span(failure, ENAMETOOLONG, "attach program", directory);
	if (instructions.length == 0 || instructions.length % INSTRUCTION_BYTES != 0 || instructions.length / INSTRUCTION_BYTES > MAX_INSTRUCTIONS)
		return fail_at(failure, EINVAL, "load program", path);
	int program_fd = load(instructions, get_u32(program, TAG_PROGRAM_TYPE, 0), attach_type);
	if (program_fd < 0)
		return fail_at(failure, errno, "load program", path);
	int cgroup_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = cgroup_fd < 0 ? -1 : kernel_bpf_attach(cgroup_fd, program_fd, attach_type);
	int error = errno;
	if (cgroup_fd >= 0)
		close(cgroup_fd);
	close(program_fd);
	return result == 0 ? 0 : fail_at(failure, error, "attach program", path);
}
