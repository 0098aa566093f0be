#include "pipeline/native_merge.h"

namespace sluice {

void native_merge::attach(reader* readers, ring_head* heads, tournament_node* nodes, uint32_t count,
                          const merge_options& options) {
  merge::attach(readers, heads, nodes, count, options);
}

pass_result native_merge::pass(const outer_sink& sink) { return merge::pass(sink); }

void native_merge::release() { merge::release(); }

}  // namespace sluice
