#include <csignal>

#include "exports.h"
#include "record.h"

namespace isopod {

namespace {

napi_value Initialize(napi_env env, napi_value exports) {
  // Node ignores SIGPIPE too; a pipe that lost its reader has to be EPIPE, whoever embeds Node.
  signal(SIGPIPE, SIG_IGN);
  const std::span<const Export> facilities[] = {
      ChannelExports(), ConfineExports(), DeviceExports(),    FileExports(),  FilterExports(),  InstallFilterExports(),
      LendExports(),    MemoryExports(),  MountExports(),     ProbeExports(), ProcessExports(), RunCallExports(),
      SocketExports(),  SpawnExports(),   UnderMaskExports(), WaitExports(),
  };
  for (const std::span<const Export> facility : facilities) {
    for (const Export& entry : facility) {
      napi_value function;
      if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.callback, nullptr, &function) != napi_ok ||
          napi_set_named_property(env, exports, entry.name, function) != napi_ok) {
        return nullptr;
      }
    }
  }
  napi_set_named_property(env, exports, "RECORD_WORDS", ToNumber(env, kRecordWords));
  napi_set_named_property(env, exports, "STAT_FIELDS", ToNumber(env, kStatFields));
  return exports;
}

}  // namespace

}  // namespace isopod

NAPI_MODULE(NODE_GYP_MODULE_NAME, isopod::Initialize)
