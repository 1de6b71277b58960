// Runs a libFuzzer target without libFuzzer, for hosts that have no clang: random words, among them many rules that
// are nearly right, and mutations of what was tried last.
//
//   fuzz-main SECONDS SEED

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kMaximumRules = 700;
constexpr size_t kInputsBetweenLooks = 64;

class Inputs {
 public:
  explicit Inputs(uint32_t seed) : random_(seed) {}

  const std::vector<uint32_t>& Next() {
    const uint32_t kind = Below(4);
    if (kind == 0) {
      Mutate();
    } else if (kind == 1) {
      words_.resize(Below(64));
      for (uint32_t& word : words_) word = random_();
    } else {
      MakeRules();
    }
    return words_;
  }

 private:
  uint32_t Below(uint32_t bound) { return random_() % bound; }

  // Few instructions are reached by words that nobody meant: rules as native.d.ts lays them out.
  void MakeRules() {
    words_.clear();
    const size_t rules = Below(Below(8) == 0 ? kMaximumRules : 12);
    for (size_t i = 0; i < rules; i++) {
      const uint32_t conditions = Below(4) == 0 ? Below(18) : 0;
      words_.push_back(Below(3) == 0 ? Below(500) : static_cast<uint32_t>(i));
      words_.push_back(Below(7) | (Below(8) == 0 ? Below(5000) << 16 : 0));
      words_.push_back(conditions);
      for (uint32_t j = 0; j < conditions; j++) {
        words_.push_back(Below(32) == 0 ? random_() : Below(5));
        words_.push_back(Below(32) == 0 ? random_() : Below(6));
        for (int k = 0; k < 4; k++) words_.push_back(Below(2) == 0 ? Below(3) - 1 : random_());
      }
    }
    words_.push_back(Below(4));
  }

  void Mutate() {
    for (uint32_t times = 1 + Below(4); times > 0 && !words_.empty(); times--) {
      const size_t at = Below(static_cast<uint32_t>(words_.size()));
      switch (Below(4)) {
        case 0:
          words_[at] ^= 1U << Below(32);
          break;
        case 1:
          words_[at] = random_();
          break;
        case 2:
          words_.erase(words_.begin() + static_cast<std::ptrdiff_t>(at));
          break;
        default:
          words_.insert(words_.begin() + static_cast<std::ptrdiff_t>(at), Below(20));
      }
    }
  }

  std::mt19937 random_;
  std::vector<uint32_t> words_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atoi(argv[1]));
  Inputs inputs(static_cast<uint32_t>(std::strtoul(argv[2], nullptr, 10)));
  uint64_t count = 0;
  while (std::chrono::steady_clock::now() < end) {
    for (size_t i = 0; i < kInputsBetweenLooks; i++, count++) {
      const std::vector<uint32_t>& words = inputs.Next();
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(words.data()), words.size() * sizeof(uint32_t));
    }
  }
  std::printf("%llu inputs\n", static_cast<unsigned long long>(count));
  return 0;
}
