// The init of a guest: sets the machine up, then serves the monitor until it powers the machine off. Its end is the
// machine's end.

#include <cstdio>

#include "agent.h"
#include "machine.h"

int main() {
  isopod::agent::SetUpMachine();
  isopod::Descriptor port = isopod::agent::OpenPort();
  if (!port.is_open()) {
    fprintf(stderr, "isopod-agent: there is no channel to the monitor\n");
    isopod::agent::PowerOff();
  }
  isopod::agent::Agent agent(std::move(port));
  agent.Run();
  isopod::agent::PowerOff();
}
