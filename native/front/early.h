// Starting a sandbox process before it is asked for, beside the Node.js process that will ask: Node's own start is most
// of what a container's start costs; this way the two starts share the time instead of adding up.
//
// What is started early is a sandbox process like any other: confined, empty, listening on a socket below the state
// folder. Node adopts it (runtime/sandbox/early.ts) or kills it; if neither happens it ends by itself when its life
// line, a pipe that Node holds, is cut.
#ifndef ISOPOD_FRONT_EARLY_H_
#define ISOPOD_FRONT_EARLY_H_

#include <limits.h>
#include <stdbool.h>

// The folder of the built package; set by find_package.
extern char package_root[PATH_MAX];
// Node's, set by read_list.
extern char* node_path;

// The package lies two folders above this program: native/build/NAME.
void find_package(void);
// Reads what a sandbox process's root has. False when the build has not written it, or Node is not where it was.
bool read_list(void);
// A unix socket that listens at `path`, for root alone; -1 when that failed.
int listen_at(const char* path);
// Starts a sandbox process below the folder `state` and names it in the environment, for the Node that this program
// executes next. `netns` is the path of the network namespace that it enters, NULL for one of its own. Whatever fails
// here leaves the work to that one, which says what is wrong.
void start_early(const char* state, const char* netns);

#endif
