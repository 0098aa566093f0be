#include "producers/case_table.h"

namespace sluice {
namespace {

bool has_letters(uint32_t page) {
  for (uint32_t i = 0; i < 256; ++i) {
    const WCHAR unit = static_cast<WCHAR>(page << 8 | i);
    if (RtlUpcaseUnicodeChar(unit) != unit) return true;
  }
  return false;
}

}  // namespace

bool case_table::create(const kernel_functions& functions) {
  PAGED_CODE();
  if (pages_ != nullptr) return true;
  uint16_t count = 1;
  for (uint32_t i = 0; i < 256; ++i) page_[i] = has_letters(i) ? count++ : 0;
  if (!memory_.allocate(functions, count * sizeof(page))) return false;  // zeroed: page 0 is done
  page* const pages = static_cast<page*>(memory_.get());
  for (uint32_t i = 0; i < 256; ++i) {
    for (uint32_t k = 0; page_[i] != 0 && k < 256; ++k) {
      const WCHAR unit = static_cast<WCHAR>(i << 8 | k);
      pages[page_[i]].difference[k] = static_cast<uint16_t>(RtlUpcaseUnicodeChar(unit) - unit);
    }
  }
  pages_ = pages;
  return true;
}

}  // namespace sluice
