{
  "targets": [
    {
      "target_name": "isopod",
      "sources": [
        "native/addon/module.cc",
        "native/addon/arguments.cc",
        "native/addon/channel.cc",
        "native/addon/completions.cc",
        "native/addon/confine.cc",
        "native/addon/files.cc",
        "native/addon/filter.cc",
        "native/addon/filter-binding.cc",
        "native/addon/install-filter.cc",
        "native/addon/lend.cc",
        "native/addon/memory.cc",
        "native/addon/mounts.cc",
        "native/addon/probe.cc",
        "native/addon/processes.cc",
        "native/addon/sockets.cc",
        "native/addon/spawn.cc",
        "native/addon/spawn-child.cc",
        "native/addon/run-call.cc",
        "native/addon/under-mask.cc",
        "native/addon/wait.cc",
      ],
      "defines": ["NAPI_VERSION=9", "_GNU_SOURCE"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++14"],
      "cflags_cc": [
        "-std=c++20",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-fno-exceptions",
        "-fno-rtti",
        "-fvisibility=hidden",
      ],
      # A forked child must not need the dynamic linker for the first call of anything.
      "ldflags": ["-Wl,-z,now"],
    },
    {
      # For tests that look around from inside a sandbox process.
      "target_name": "raw-syscall",
      "sources": ["native/addon/testdata/raw-syscall.cc"],
      "defines": ["NAPI_VERSION=9", "_GNU_SOURCE"],
    },
  ],
}
