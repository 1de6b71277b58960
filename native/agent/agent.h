// The agent: serves the monitor's calls, carries the streams of programs, and waits for processes.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "channel.h"
#include "loop.h"
#include "messages.h"
#include "program.h"

namespace isopod::agent {

struct Container {
  std::string id;
  // Of its first program.
  uint32_t number = 0;
  Descriptor pidfd;
  Descriptor cgroup;
  Descriptor memory_events;
  uint64_t memory_watch = 0;
  uint32_t oom_kills = 0;
};

class Agent {
 public:
  explicit Agent(Descriptor port);

  // Serves until the machine is powered off; returns when the channel is unusable.
  void Run();

 private:
  bool Receive(std::string_view bytes);
  // Each call's failure is a text for the user; empty when it succeeded.
  void Answer(uint32_t id, const std::string& error);
  std::string Create(const CreateContainer& spec, uint32_t id);
  std::string ExecIn(const Exec& spec, uint32_t id);
  std::string StartIn(const std::string& container_id, uint32_t id);
  std::string SendSignal(const Signal& signal);
  std::string SizeTerminal(const Resize& resize);
  std::string ListIn(const std::string& container_id, Writer* answer);
  std::string RemoveIt(const std::string& container_id);
  std::string SetLimits(const Limits& limits);
  std::string SetFrozen(const Freeze& freeze);
  std::string Measure(const std::string& container_id, Writer* answer);
  std::string ShareFiles(const std::string& tag);
  void TakeData(const Data& data);
  void TakeCredit(const Credit& credit);

  // Makes the descriptors of a program's streams and of its reports. False with errno set when there are none left.
  bool MakeStreams(const Program& spec, RunningProgram* program, Descriptor children[3], Descriptor* child_report);
  void OnReport(uint32_t number);
  // What goes wrong before the program runs.
  void FailBirth(uint32_t number, const std::string& error);
  void ArmOutput(RunningProgram* program, int index);
  void OnOutput(uint32_t number, int index);
  void EndOutput(RunningProgram* program, int index);
  void WriteInput(uint32_t number);
  void ReapProcesses();
  void Ended(RunningProgram* program, uint32_t status);
  // Tells of an end once all that the program wrote is sent.
  void TellEnd(RunningProgram* program);
  // Of an exec that is over, nothing is kept: there may be any number of them in a container's life.
  void ForgetEndedExecs();
  void OnMemoryEvent(const std::string& container_id);
  void SendHello(uint32_t id);
  void UpdatePortWatch();

  RunningProgram* FindProgram(uint32_t number);
  Container* FindContainer(const std::string& id);

  Loop loop_;
  Channel channel_;
  uint64_t port_watch_ = 0;
  bool is_waiting_for_room_ = false;
  bool is_usable_ = true;
  bool is_power_off_ = false;
  std::map<uint32_t, std::unique_ptr<RunningProgram>> programs_;
  std::map<std::string, std::unique_ptr<Container>> containers_;
};

}  // namespace isopod::agent
