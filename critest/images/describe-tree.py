"""Prints, as JSON, all that a directory tree keeps of an image: by path, what stat(2), readlink(2), getxattr(2) and the content say."""
import hashlib
import json
import os
import stat
import sys

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFCHR: "character", stat.S_IFBLK: "block", stat.S_IFIFO: "fifo"}


def xattrs(path):
    # trusted.* is how overlay says what it hides; security.selinux and the like are the host's.
    names = [n for n in os.listxattr(path, follow_symlinks=False) if n.startswith("user.") or n == "security.capability"]
    return {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in sorted(names)}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def describe(path, groups, name):
    s = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(s.st_mode), "other")
    facts = {"kind": kind, "mode": oct(stat.S_IMODE(s.st_mode)), "owner": f"{s.st_uid}:{s.st_gid}", "mtimeS": s.st_mtime_ns // 10**9, "xattrs": xattrs(path)}
    if kind == "file":
        facts["sizeBytes"] = s.st_size
        facts["sha256"] = digest(path)
    if kind == "symlink":
        facts["target"] = os.fsdecode(os.readlink(path))
    if kind in ("character", "block"):
        facts["device"] = f"{os.major(s.st_rdev)}:{os.minor(s.st_rdev)}"
    if kind != "directory":
        # All names of the inode in this tree, and not st_nlink: in an overlay that counts names which an upper layer hides.
        facts["names"] = groups.setdefault((s.st_dev, s.st_ino), [])
        facts["names"].append(name)
    return facts


def main(root):
    tree, groups = {}, {}
    paths = [root]
    for directory, below, files in os.walk(root):
        paths += [os.path.join(directory, name) for name in below + files]
    for path in sorted(paths, key=os.fsencode):
        name = os.path.relpath(path, root)
        tree[name] = describe(path, groups, name)
    json.dump(tree, sys.stdout)


main(sys.argv[1])
