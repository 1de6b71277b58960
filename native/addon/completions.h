// What helper threads have finished, on its way into the batch of `wait`.
#pragma once

#include <cstdint>

#include "record.h"

namespace isopod {

struct Completion {
  EventKind kind;
  int32_t key;
  int32_t result;
  // What a result of 64 bits has above the low 32.
  int32_t high = 0;
};

// The eventfd that is readable while there are completions, made on first use; -errno.
int CompletionDescriptor();

// From any thread.
void AddCompletion(Completion completion);

// Takes the oldest completion of a kind. The eventfd stays readable until none of any kind is left.
bool TakeCompletion(EventKind kind, Completion* completion);

// Empties the eventfd if there are no completions; called when it was readable.
void SettleCompletions();

}  // namespace isopod
