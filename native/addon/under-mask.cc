#include "exports.h"
namespace isopod {
std::span<const Export> UnderMaskExports() { return {}; }
}
