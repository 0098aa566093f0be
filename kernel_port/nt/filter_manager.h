// The filter manager's part that communication ports need, for compilers whose headers lack <fltkernel.h> (mingw-w64), and
// for the simulated kernel. From the public documentation of the Windows driver kit; names, numbers and layouts are its.
// Only kernel_port/nt/nt.h and the simulated <fltkernel.h> include this, behind <ntifs.h>. The import library is made from
// kernel_port/nt/imports/fltmgr.def.
//
// All functions: NT 5.2 and later, <= APC_LEVEL, unless said otherwise.
#pragma once

#ifndef FLT_PORT_CONNECT
#define FLT_PORT_CONNECT 0x0001
#define FLT_PORT_ALL_ACCESS (FLT_PORT_CONNECT | STANDARD_RIGHTS_ALL)
#endif

#define FLT_MAJOR_VERSION 0x0200
// The structure's length tells the version. 0200: up to NormalizeContextCleanupCallback; 0202 (Vista): two more; 0203
// (Windows 8): all. A filter manager takes its own and older ones.
#define FLT_REGISTRATION_VERSION_0200 0x0200
#define FLT_REGISTRATION_VERSION_0202 0x0202
#define FLT_REGISTRATION_VERSION_0203 0x0203

#ifndef IRP_MJ_OPERATION_END
#define IRP_MJ_OPERATION_END ((UCHAR)0x80)
#endif
#define FLTFL_FILTER_UNLOAD_MANDATORY 0x00000001
#define FLTFL_INSTANCE_SETUP_AUTOMATIC_ATTACHMENT 0x00000001
#define FLT_FSTYPE_NTFS 2

#ifndef STATUS_FLT_NOT_INITIALIZED
#define STATUS_FLT_NOT_INITIALIZED ((NTSTATUS)0xC01C0007)
#endif
#ifndef STATUS_FLT_DO_NOT_ATTACH
#define STATUS_FLT_DO_NOT_ATTACH ((NTSTATUS)0xC01C000F)
#endif
#ifndef STATUS_FLT_DO_NOT_DETACH
#define STATUS_FLT_DO_NOT_DETACH ((NTSTATUS)0xC01C0010)
#endif
#ifndef STATUS_FLT_NO_WAITER_FOR_REPLY
#define STATUS_FLT_NO_WAITER_FOR_REPLY ((NTSTATUS)0xC01C0020)
#endif
#ifndef STATUS_CONNECTION_COUNT_LIMIT
#define STATUS_CONNECTION_COUNT_LIMIT ((NTSTATUS)0xC0000246)
#endif
#ifndef STATUS_INVALID_SECURITY_DESCR
#define STATUS_INVALID_SECURITY_DESCR ((NTSTATUS)0xC0000079)
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _FLT_FILTER* PFLT_FILTER;
typedef struct _FLT_PORT* PFLT_PORT;
typedef struct _FLT_INSTANCE* PFLT_INSTANCE;
typedef struct _FLT_VOLUME* PFLT_VOLUME;

typedef struct _FLT_RELATED_OBJECTS {
  USHORT const Size;
  USHORT const TransactionContext;
  PFLT_FILTER const Filter;
  PFLT_VOLUME const Volume;
  PFLT_INSTANCE const Instance;
  struct _FILE_OBJECT* const FileObject;
  struct _KTRANSACTION* const Transaction;
} FLT_RELATED_OBJECTS, *PFLT_RELATED_OBJECTS;
typedef const FLT_RELATED_OBJECTS* PCFLT_RELATED_OBJECTS;

typedef ULONG FLT_REGISTRATION_FLAGS;
typedef ULONG FLT_FILTER_UNLOAD_FLAGS;
typedef ULONG FLT_INSTANCE_SETUP_FLAGS;
typedef ULONG FLT_FILESYSTEM_TYPE;
typedef ULONG FLT_OPERATION_REGISTRATION_FLAGS;

typedef NTSTATUS(NTAPI* PFLT_FILTER_UNLOAD_CALLBACK)(FLT_FILTER_UNLOAD_FLAGS Flags);
typedef NTSTATUS(NTAPI* PFLT_INSTANCE_SETUP_CALLBACK)(PCFLT_RELATED_OBJECTS FltObjects, FLT_INSTANCE_SETUP_FLAGS Flags,
                                                      DEVICE_TYPE VolumeDeviceType,
                                                      FLT_FILESYSTEM_TYPE VolumeFilesystemType);

typedef struct _FLT_OPERATION_REGISTRATION {
  UCHAR MajorFunction;
  FLT_OPERATION_REGISTRATION_FLAGS Flags;
  PVOID PreOperation;
  PVOID PostOperation;
  PVOID Reserved1;
} FLT_OPERATION_REGISTRATION;

typedef struct _FLT_REGISTRATION {
  USHORT Size;
  USHORT Version;
  FLT_REGISTRATION_FLAGS Flags;
  const VOID* ContextRegistration;
  const FLT_OPERATION_REGISTRATION* OperationRegistration;
  PFLT_FILTER_UNLOAD_CALLBACK FilterUnloadCallback;
  PFLT_INSTANCE_SETUP_CALLBACK InstanceSetupCallback;
  PVOID InstanceQueryTeardownCallback;
  PVOID InstanceTeardownStartCallback;
  PVOID InstanceTeardownCompleteCallback;
  PVOID GenerateFileNameCallback;
  PVOID NormalizeNameComponentCallback;
  PVOID NormalizeContextCleanupCallback;
  PVOID TransactionNotificationCallback;   // 0202
  PVOID NormalizeNameComponentExCallback;  // 0202
  PVOID SectionNotificationCallback;       // 0203
} FLT_REGISTRATION;
#define FLT_REGISTRATION_SIZE_0200 ((USHORT)FIELD_OFFSET(FLT_REGISTRATION, TransactionNotificationCallback))
#define FLT_REGISTRATION_SIZE_0202 ((USHORT)FIELD_OFFSET(FLT_REGISTRATION, SectionNotificationCallback))
#define FLT_REGISTRATION_SIZE_0203 ((USHORT)sizeof(FLT_REGISTRATION))

// PASSIVE_LEVEL, in the connecting process. ConnectionContext is the system's copy, not aligned. An error refuses.
typedef NTSTATUS(NTAPI* PFLT_CONNECT_NOTIFY)(PFLT_PORT ClientPort, PVOID ServerPortCookie, PVOID ConnectionContext,
                                             ULONG SizeOfContext, PVOID* ConnectionPortCookie);
// PASSIVE_LEVEL; once per connection. Closes the client port.
typedef VOID(NTAPI* PFLT_DISCONNECT_NOTIFY)(PVOID ConnectionCookie);
// PASSIVE_LEVEL, in the sending process. Both buffers are the process' own memory: probed, not captured, not aligned.
typedef NTSTATUS(NTAPI* PFLT_MESSAGE_NOTIFY)(PVOID PortCookie, PVOID InputBuffer, ULONG InputBufferLength,
                                             PVOID OutputBuffer, ULONG OutputBufferLength,
                                             PULONG ReturnOutputBufferLength);

// STATUS_FLT_NOT_INITIALIZED: the filter manager has not started yet. STATUS_OBJECT_NAME_NOT_FOUND: the service's key has
// no Instances. STATUS_INVALID_PARAMETER: a version it does not know.
NTSTATUS NTAPI FltRegisterFilter(PDRIVER_OBJECT Driver, const FLT_REGISTRATION* Registration, PFLT_FILTER* RetFilter);
NTSTATUS NTAPI FltStartFiltering(PFLT_FILTER Filter);
// Disconnects the clients; waits for callbacks that run. The server port is closed by then.
VOID NTAPI FltUnregisterFilter(PFLT_FILTER Filter);
// Administrators and SYSTEM. PASSIVE_LEVEL, both.
NTSTATUS NTAPI FltBuildDefaultSecurityDescriptor(PSECURITY_DESCRIPTOR* SecurityDescriptor, ACCESS_MASK DesiredAccess);
VOID NTAPI FltFreeSecurityDescriptor(PSECURITY_DESCRIPTOR SecurityDescriptor);
// ObjectAttributes: a name, OBJ_KERNEL_HANDLE and a security descriptor are required.
NTSTATUS NTAPI FltCreateCommunicationPort(PFLT_FILTER Filter, PFLT_PORT* ServerPort, POBJECT_ATTRIBUTES ObjectAttributes,
                                          PVOID ServerPortCookie, PFLT_CONNECT_NOTIFY ConnectNotifyCallback,
                                          PFLT_DISCONNECT_NOTIFY DisconnectNotifyCallback,
                                          PFLT_MESSAGE_NOTIFY MessageNotifyCallback, LONG MaxConnections);
// No new connections; those that stand, stand.
VOID NTAPI FltCloseCommunicationPort(PFLT_PORT ServerPort);
// Sets *ClientPort to null; who waits in FltSendMessage is let go.
VOID NTAPI FltCloseClientPort(PFLT_FILTER Filter, PFLT_PORT* ClientPort);
// Returns when the client has taken the message (and, if a reply is wanted, has answered). Timeout: of both together; null:
// for ever. STATUS_TIMEOUT is a success code. STATUS_PORT_DISCONNECTED: closed, from either side.
NTSTATUS NTAPI FltSendMessage(PFLT_FILTER Filter, PFLT_PORT* ClientPort, PVOID SenderBuffer, ULONG SenderBufferLength,
                              PVOID ReplyBuffer, PULONG ReplyLength, PLARGE_INTEGER Timeout);

#ifdef __cplusplus
}  // extern "C"

#if defined(_WIN64) || defined(__LP64__)
static_assert(sizeof(FLT_REGISTRATION) == 112 && FLT_REGISTRATION_SIZE_0200 == 88 && FLT_REGISTRATION_SIZE_0202 == 104);
static_assert(sizeof(FLT_OPERATION_REGISTRATION) == 32 && sizeof(FLT_RELATED_OBJECTS) == 48);
#endif
#endif
