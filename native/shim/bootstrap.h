// How containerd 2.3 and later says what it wants started, and is answered (containerd's
// api/runtime/bootstrap/v1/bootstrap.proto). Earlier ones have the command line, the environment and a bare address.
#ifndef ISOPOD_SHIM_BOOTSTRAP_H_
#define ISOPOD_SHIM_BOOTSTRAP_H_

#include <limits.h>
#include <stdbool.h>

// What of BootstrapParams a shim needs; "" for what wasn't said.
struct bootstrap {
  char instance_id[256];
  char namespace[256];
  char ttrpc_address[PATH_MAX];
  char grpc_address[PATH_MAX];
  char socket_dir[PATH_MAX];
};

// Reads BootstrapParams to the end of `fd`. False when there are none: nothing at all, or an earlier containerd's
// options, or what makes no sense.
bool read_bootstrap(int fd, struct bootstrap* params);

// Writes BootstrapResult: the shim serves version 3 of the task service by ttrpc at the unix socket `path`.
// False when that failed.
bool write_bootstrap_result(int fd, const char* path);

#endif
