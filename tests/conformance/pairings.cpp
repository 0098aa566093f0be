#include "tests/conformance/conformance_support.h"

namespace sluice::test {

std::vector<pairing> all_pairings() {
  std::vector<pairing> all;
  for (const reach_kind through : all_reaches()) {
    for (const transport by : {transport::port, transport::ioctl, transport::mapping}) all.push_back({by, through});
  }
  return all;
}

std::string name_of_pairing(const testing::TestParamInfo<pairing>& info) {
  const pairing& what = info.param;
  return std::string(name_of(what.by)) + "_" + std::string(name_of(what.through));
}

}  // namespace sluice::test
