#include "tests/conformance/conformance_support.h"

namespace sluice::test {

std::vector<pairing> all_pairings() {
  std::vector<pairing> all;
  for (const reach_kind through : {reach_kind::in_process, reach_kind::by_socket}) {
    for (const transport by : {transport::port, transport::ioctl, transport::mapping}) all.push_back({by, through});
  }
  return all;
}

std::string name_of_pairing(const testing::TestParamInfo<pairing>& info) {
  const pairing& what = info.param;
  return std::string(name_of(what.by)) + (what.through == reach_kind::in_process ? "_in_process" : "_by_socket");
}

}  // namespace sluice::test
