// Registry keys of services, as drivers read their parameters. All PASSIVE_LEVEL.
#pragma once

#define KEY_QUERY_VALUE 0x0001
#define KEY_READ 0x20019L
#define REG_DWORD 4

EXTERN_C_START

typedef enum _KEY_VALUE_INFORMATION_CLASS {
  KeyValueBasicInformation,
  KeyValueFullInformation,
  KeyValuePartialInformation,
} KEY_VALUE_INFORMATION_CLASS;

typedef struct _KEY_VALUE_PARTIAL_INFORMATION {
  ULONG TitleIndex;
  ULONG Type;
  ULONG DataLength;
  UCHAR Data[1];
} KEY_VALUE_PARTIAL_INFORMATION, *PKEY_VALUE_PARTIAL_INFORMATION;

// The keys that exist: \Registry\Machine\System\CurrentControlSet\Services\<name>, and its Parameters if the
// machine's options give any (machine_options::service_parameters).
NTSTATUS ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes);

// KeyValuePartialInformation only. STATUS_BUFFER_TOO_SMALL: not even the fixed part fits;
// STATUS_BUFFER_OVERFLOW: the data does not.
NTSTATUS ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName,
                         KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                         ULONG Length, PULONG ResultLength);

EXTERN_C_END
