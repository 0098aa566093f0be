// The one header that picks where the NT kernel API comes from. Driver code and producers include this and nothing else of
// the kernel. <ntifs.h> and <fltkernel.h> are the WDK's, mingw-w64's, or those of the simulated kernel, by include path.
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__MINGW32__)
#include "kernel_port/nt/mingw_supplement.h"  // includes <ntifs.h> and adds what its headers lack
#include "kernel_port/nt/filter_manager.h"
#else
#include <fltkernel.h>  // and <ntifs.h>
#endif

// Where a function's code lies in the image; stands in front of its declaration.
//   SLUICE_INIT_CODE    given back when DriverEntry has returned: called by DriverEntry only, and by what it calls
//   SLUICE_PAGED_CODE   may be paged out: runs below DISPATCH_LEVEL, and does not raise the IRQL itself (what it calls may);
//                       begins with PAGED_CODE()
// Without either: always there. tests/gates/annotation_gate.py holds this.
#if defined(_MSC_VER) && !defined(__clang__)
#define SLUICE_INIT_CODE __declspec(code_seg("INIT"))
#define SLUICE_PAGED_CODE __declspec(code_seg("PAGE"))
#elif defined(_MSC_VER)
#define SLUICE_INIT_CODE
#define SLUICE_PAGED_CODE
#else
#define SLUICE_INIT_CODE __attribute__((section("INIT")))
#define SLUICE_PAGED_CODE __attribute__((section("PAGE")))
#endif

namespace sluice {

// A UNICODE_STRING over a literal, without wide literals: wchar_t is not 16 bits everywhere the driver is built.
// Lives as long as the literal. Any IRQL.
template <size_t size>
inline UNICODE_STRING unicode_literal(const char16_t (&text)[size]) {
  UNICODE_STRING string;
  string.Length = static_cast<USHORT>((size - 1) * sizeof(char16_t));
  string.MaximumLength = static_cast<USHORT>(size * sizeof(char16_t));
  string.Buffer = reinterpret_cast<PWCH>(const_cast<char16_t*>(text));
  return string;
}

}  // namespace sluice
