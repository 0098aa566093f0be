// Rtl string functions. Case is folded for ASCII and Latin-1 only; NT's full table is not modelled.
#include <algorithm>

#include "kernel_port/sim/check.h"

using namespace sluice::sim;

namespace {

WCHAR upcase(WCHAR letter) {
  if (letter >= 'a' && letter <= 'z') return static_cast<WCHAR>(letter - 0x20);
  if (letter >= 0xe0 && letter <= 0xfe && letter != 0xf7) return static_cast<WCHAR>(letter - 0x20);
  return letter;
}

USHORT length_of(PCUNICODE_STRING string) {
  return static_cast<USHORT>(string->Length / sizeof(WCHAR));
}

void require_case_irql(BOOLEAN case_insensitive, const char* function) {
  if (case_insensitive) require_irql_at_most(PASSIVE_LEVEL, function);  // the case tables are paged
}

}  // namespace

extern "C" {

VOID RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString) {
  DestinationString->Buffer = const_cast<PWCH>(SourceString);
  DestinationString->Length = DestinationString->MaximumLength = 0;
  if (!SourceString) return;
  size_t length = 0;
  while (SourceString[length]) ++length;
  length = std::min<size_t>(length, 0xfffc / sizeof(WCHAR));
  DestinationString->Length = static_cast<USHORT>(length * sizeof(WCHAR));
  DestinationString->MaximumLength = static_cast<USHORT>(DestinationString->Length + sizeof(WCHAR));
}

VOID RtlInitEmptyUnicodeString(PUNICODE_STRING DestinationString, PWCHAR Buffer, USHORT BufferSize) {
  *DestinationString = {0, BufferSize, Buffer};
}

VOID RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString) {
  const size_t length = SourceString ? std::min<size_t>(strlen(SourceString), 0xfffe) : 0;
  DestinationString->Buffer = const_cast<PCHAR>(SourceString);
  DestinationString->Length = static_cast<USHORT>(length);
  DestinationString->MaximumLength = static_cast<USHORT>(SourceString ? length + 1 : 0);
}

LONG RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
  require_case_irql(CaseInSensitive, "RtlCompareUnicodeString");
  const USHORT shorter = std::min(length_of(String1), length_of(String2));
  for (USHORT i = 0; i < shorter; ++i) {
    const WCHAR left = CaseInSensitive ? upcase(String1->Buffer[i]) : String1->Buffer[i];
    const WCHAR right = CaseInSensitive ? upcase(String2->Buffer[i]) : String2->Buffer[i];
    if (left != right) return static_cast<LONG>(left) - static_cast<LONG>(right);
  }
  return static_cast<LONG>(String1->Length) - static_cast<LONG>(String2->Length);
}

BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
  require_case_irql(CaseInSensitive, "RtlEqualUnicodeString");
  return String1->Length == String2->Length &&
         RtlCompareUnicodeString(String1, String2, CaseInSensitive) == 0;
}

BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive) {
  require_case_irql(CaseInSensitive, "RtlPrefixUnicodeString");
  if (String1->Length > String2->Length) return FALSE;
  const UNICODE_STRING start{String1->Length, String1->Length, String2->Buffer};
  return RtlCompareUnicodeString(String1, &start, CaseInSensitive) == 0;
}

VOID RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString) {
  if (!SourceString) {
    DestinationString->Length = 0;
    return;
  }
  DestinationString->Length = std::min(SourceString->Length, DestinationString->MaximumLength);
  memcpy(DestinationString->Buffer, SourceString->Buffer, DestinationString->Length);
  if (DestinationString->Length + sizeof(WCHAR) <= DestinationString->MaximumLength) {
    DestinationString->Buffer[length_of(DestinationString)] = 0;
  }
}

NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source) {
  const uint32_t length = uint32_t{Destination->Length} + Source->Length;
  if (length > Destination->MaximumLength) return STATUS_BUFFER_TOO_SMALL;
  memmove(Destination->Buffer + length_of(Destination), Source->Buffer, Source->Length);
  Destination->Length = static_cast<USHORT>(length);
  if (length + sizeof(WCHAR) <= Destination->MaximumLength) Destination->Buffer[length_of(Destination)] = 0;
  return STATUS_SUCCESS;
}

NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source) {
  UNICODE_STRING source;
  RtlInitUnicodeString(&source, Source);
  return RtlAppendUnicodeStringToString(Destination, &source);
}

WCHAR RtlUpcaseUnicodeChar(WCHAR SourceCharacter) {
  require_irql_at_most(PASSIVE_LEVEL, "RtlUpcaseUnicodeChar");
  return upcase(SourceCharacter);
}

SIZE_T RtlCompareMemory(const VOID* Source1, const VOID* Source2, SIZE_T Length) {
  const auto* left = static_cast<const unsigned char*>(Source1);
  const auto* right = static_cast<const unsigned char*>(Source2);
  SIZE_T same = 0;
  while (same < Length && left[same] == right[same]) ++same;
  return same;
}
}
