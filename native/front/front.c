// The `isopod` command: starts Node.js with the command line's program, and, when that is about to make a container, a
// sandbox process beside it.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "early.h"

__attribute__((noreturn)) static void fail(const char* what) {
  fprintf(stderr, "isopod: %s: %s\n", what, strerror(errno));
  exit(1);
}

// Does the command line make a container with the default log? Then `*state` is the folder for containers' state.
static bool is_starting(int argc, char** argv, const char** state) {
  *state = "/run/isopod";
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--root") == 0 && i + 1 < argc) {
      *state = argv[++i];
    } else if (strncmp(argv[i], "--root=", 7) == 0) {
      *state = argv[i] + 7;
    } else if (strcmp(argv[i], "--log-format") == 0) {
      i++;
    } else if (argv[i][0] == '-') {
      if (strcmp(argv[i], "--debug") != 0 && strncmp(argv[i], "--log-format=", 13) != 0) return false;
    } else {
      return strcmp(argv[i], "run") == 0 || strcmp(argv[i], "create") == 0;
    }
  }
  return false;
}

int main(int argc, char** argv) {
  find_package();
  unsetenv("ISOPOD_EARLY");
  // Node parses these certificates when it starts, which takes longer than all the rest of its start; only the server
  // speaks TLS, with registries.
  if (argc < 2 || strcmp(argv[1], "serve") != 0) unsetenv("NODE_EXTRA_CA_CERTS");
  bool has_list = read_list();
  const char* state;
  if (has_list && geteuid() == 0 && is_starting(argc, argv, &state)) start_early(state, NULL);
  static char script[PATH_MAX + 32];
  snprintf(script, sizeof script, "%s/dist/isopod-start.cjs", package_root);
  char** args = calloc((size_t)argc + 2, sizeof *args);
  if (args == NULL) fail("take memory");
  args[0] = "node";
  args[1] = script;
  for (int i = 1; i < argc; i++) args[i + 1] = argv[i];
  if (has_list) execv(node_path, args);
  execvp("node", args);
  fail("run node");
}
