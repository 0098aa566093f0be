// Rtl and Dbg: strings, memory, messages.
#pragma once

EXTERN_C_START

#define RtlCopyMemory(destination, source, length) memcpy((destination), (source), (length))
#define RtlMoveMemory(destination, source, length) memmove((destination), (source), (length))
#define RtlZeroMemory(destination, length) memset((destination), 0, (length))
#define RtlFillMemory(destination, length, fill) memset((destination), (fill), (length))
#define RtlEqualMemory(left, right, length) (!memcmp((left), (right), (length)))
SIZE_T RtlCompareMemory(const VOID* Source1, const VOID* Source2, SIZE_T Length);  // how many bytes match

// UNICODE_STRING: init any IRQL; comparisons PASSIVE with CaseInSensitive (the tables are paged), else any.
VOID RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString);
VOID RtlInitEmptyUnicodeString(PUNICODE_STRING DestinationString, PWCHAR Buffer, USHORT BufferSize);
VOID RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString);
LONG RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive);
BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive);
BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive);
VOID RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString);
NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source);
NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source);
WCHAR RtlUpcaseUnicodeChar(WCHAR SourceCharacter);
#define RTL_CONSTANT_STRING(s) \
  { sizeof(s) - sizeof((s)[0]), sizeof(s), (PWCH)(s) }

// Messages go to stderr. Narrow: any IRQL. Wide characters and %wZ, %ws, %S, %C: PASSIVE only.
ULONG DbgPrint(PCSTR Format, ...);
ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);
ULONG vDbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, va_list Arguments);
#define KdPrint(arguments) DbgPrint arguments
#define KdPrintEx(arguments) DbgPrintEx arguments
#define DPFLTR_SYSTEM_ID 0
#define DPFLTR_IHVDRIVER_ID 77
#define DPFLTR_DEFAULT_ID 101
#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3

VOID RtlAssert(const VOID* FailedAssertion, const VOID* FileName, ULONG LineNumber, const CHAR* Message);
#define NT_ASSERT(expression) \
  ((expression) ? (void)0 : RtlAssert(#expression, __FILE__, __LINE__, (PCHAR)0))
#define NT_ASSERTMSG(message, expression) NT_ASSERT(expression)
#ifndef ASSERT
#define ASSERT(expression) NT_ASSERT(expression)
#endif
#define NT_VERIFY(expression) NT_ASSERT(expression)

EXTERN_C_END
