// Ke: IRQL, processors, dispatcher objects, DPCs, timers, spin locks, time.
#pragma once

#define PASSIVE_LEVEL 0
#define LOW_LEVEL 0
#define APC_LEVEL 1
#define DISPATCH_LEVEL 2
#define CLOCK_LEVEL 13
#define IPI_LEVEL 14
#define POWER_LEVEL 14
#define PROFILE_LEVEL 15
#define HIGH_LEVEL 15

#define ALL_PROCESSOR_GROUPS 0xffff
#define MAXIMUM_WAIT_OBJECTS 64
#define THREAD_WAIT_OBJECTS 3

#define LOW_PRIORITY 0
#define LOW_REALTIME_PRIORITY 16
#define HIGH_PRIORITY 31
#define IO_NO_INCREMENT 0
#define EVENT_INCREMENT 1
#define SEMAPHORE_INCREMENT 1

// PAGED_CODE: on Windows an assertion of checked builds; here always on.
#define PAGED_CODE() SluiceSimulatedPagedCode(__func__)
#define PAGED_CODE_LOCKED() ((void)0)

EXTERN_C_START

VOID SluiceSimulatedPagedCode(PCSTR Function);

typedef struct _DISPATCHER_HEADER {
  union {
    struct {
      UCHAR Type;
      UCHAR Absolute;
      UCHAR Size;
      UCHAR Inserted;
    };
    volatile LONG Lock;
  };
  LONG SignalState;
  LIST_ENTRY WaitListHead;
} DISPATCHER_HEADER, *PDISPATCHER_HEADER;

typedef enum _EVENT_TYPE { NotificationEvent, SynchronizationEvent } EVENT_TYPE;
typedef enum _TIMER_TYPE { NotificationTimer, SynchronizationTimer } TIMER_TYPE;
typedef enum _WAIT_TYPE { WaitAll, WaitAny } WAIT_TYPE;
typedef enum _KWAIT_REASON {
  Executive,
  FreePage,
  PageIn,
  PoolAllocation,
  DelayExecution,
  Suspended,
  UserRequest
} KWAIT_REASON;
typedef enum _KDPC_IMPORTANCE {
  LowImportance,
  MediumImportance,
  HighImportance,
  MediumHighImportance
} KDPC_IMPORTANCE;

typedef struct _KEVENT {
  DISPATCHER_HEADER Header;
} KEVENT, *PKEVENT, *PRKEVENT;

typedef struct _KSEMAPHORE {
  DISPATCHER_HEADER Header;
  LONG Limit;
} KSEMAPHORE, *PKSEMAPHORE, *PRKSEMAPHORE;

typedef struct _KMUTANT {
  DISPATCHER_HEADER Header;
  LIST_ENTRY MutantListEntry;
  struct _KTHREAD* OwnerThread;
  BOOLEAN Abandoned;
  UCHAR ApcDisable;
} KMUTANT, *PKMUTANT, KMUTEX, *PKMUTEX, *PRKMUTEX;

struct _KDPC;
typedef VOID KDEFERRED_ROUTINE(struct _KDPC* Dpc, PVOID DeferredContext, PVOID SystemArgument1,
                               PVOID SystemArgument2);
typedef KDEFERRED_ROUTINE* PKDEFERRED_ROUTINE;

typedef struct _KDPC {
  UCHAR Type;
  UCHAR Importance;
  volatile USHORT Number;
  LIST_ENTRY DpcListEntry;
  PKDEFERRED_ROUTINE DeferredRoutine;
  PVOID DeferredContext;
  PVOID SystemArgument1;
  PVOID SystemArgument2;
  PVOID volatile DpcData;
  PVOID SimulatedOwner;  // the driver that initialized it; not NT's
} KDPC, *PKDPC, *PRKDPC;

typedef struct _KTIMER {
  DISPATCHER_HEADER Header;
  ULARGE_INTEGER DueTime;
  LIST_ENTRY TimerListEntry;
  struct _KDPC* Dpc;
  ULONG Processor;
  ULONG Period;
  PVOID SimulatedOwner;  // the driver that set it; not NT's
} KTIMER, *PKTIMER, *PRKTIMER;

typedef struct _KWAIT_BLOCK {
  LIST_ENTRY WaitListEntry;
  PVOID Thread;
  PVOID Object;
  USHORT WaitKey;
  UCHAR WaitType;
  UCHAR Spare;
  ULONG SpareLong;
} KWAIT_BLOCK, *PKWAIT_BLOCK;

typedef ULONG_PTR KSPIN_LOCK, *PKSPIN_LOCK;

typedef struct _KLOCK_QUEUE_HANDLE {
  PKSPIN_LOCK Lock;
  KIRQL OldIrql;
} KLOCK_QUEUE_HANDLE, *PKLOCK_QUEUE_HANDLE;

typedef ULONG_PTR KIPI_BROADCAST_WORKER(ULONG_PTR Argument);
typedef KIPI_BROADCAST_WORKER* PKIPI_BROADCAST_WORKER;

// IRQL. Raising to DISPATCH_LEVEL or above owns the virtual CPU until the IRQL falls below it again.
KIRQL KeGetCurrentIrql(VOID);                     // any
VOID KeRaiseIrql(KIRQL NewIrql, PKIRQL OldIrql);  // any; NewIrql >= current
VOID KeLowerIrql(KIRQL NewIrql);                  // any; NewIrql <= current
KIRQL KeRaiseIrqlToDpcLevel(VOID);                // <= DISPATCH
KIRQL KfRaiseIrql(KIRQL NewIrql);
VOID KfLowerIrql(KIRQL NewIrql);
VOID KeEnterCriticalRegion(VOID);    // <= APC
VOID KeLeaveCriticalRegion(VOID);    // <= APC
VOID KeEnterGuardedRegion(VOID);     // <= APC
VOID KeLeaveGuardedRegion(VOID);     // <= APC
BOOLEAN KeAreApcsDisabled(VOID);     // <= DISPATCH
BOOLEAN KeAreAllApcsDisabled(VOID);  // <= DISPATCH

// Processors.
ULONG KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber);  // any; the number across groups
ULONG KeGetCurrentProcessorNumber(VOID);                            // any; within the group only
ULONG KeQueryMaximumProcessorCountEx(USHORT GroupNumber);           // any
ULONG KeQueryActiveProcessorCountEx(USHORT GroupNumber);            // any
ULONG KeQueryMaximumProcessorCount(VOID);
ULONG KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors);
KAFFINITY KeQueryActiveProcessors(VOID);                                // any; of the group only
USHORT KeQueryActiveGroupCount(VOID);
USHORT KeQueryMaximumGroupCount(VOID);
NTSTATUS KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber);            // any
ULONG KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber);                                // any
VOID KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity);  // <= APC
VOID KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity);                         // <= APC
ULONG_PTR KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context);          // < IPI

// Processors that are added while running: PASSIVE. Vista: by MmGetSystemRoutineAddress only. The callback comes at
// PASSIVE_LEVEL, one at a time. Null: a callback refused an existing processor, or no resources.
typedef enum _KE_PROCESSOR_CHANGE_NOTIFY_STATE {
  KeProcessorAddStartNotify = 0,
  KeProcessorAddCompleteNotify,
  KeProcessorAddFailureNotify
} KE_PROCESSOR_CHANGE_NOTIFY_STATE;
typedef struct _KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
  KE_PROCESSOR_CHANGE_NOTIFY_STATE State;
  ULONG NtNumber;
  NTSTATUS Status;
  PROCESSOR_NUMBER ProcNumber;
} KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT, *PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT;
typedef VOID(NTAPI PROCESSOR_CALLBACK_FUNCTION)(PVOID CallbackContext, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT ChangeContext,
                                                PNTSTATUS OperationStatus);
typedef PROCESSOR_CALLBACK_FUNCTION* PPROCESSOR_CALLBACK_FUNCTION;
#define KE_PROCESSOR_CHANGE_ADD_EXISTING 1
PVOID KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext, ULONG Flags);
VOID KeDeregisterProcessorChangeCallback(PVOID CallbackHandle);

// DPCs. Insert, remove, set target: any IRQL. KeFlushQueuedDpcs: PASSIVE.
VOID KeInitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext);
BOOLEAN KeInsertQueueDpc(PKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2);
BOOLEAN KeRemoveQueueDpc(PKDPC Dpc);
VOID KeFlushQueuedDpcs(VOID);
VOID KeSetTargetProcessorDpc(PKDPC Dpc, CCHAR Number);
NTSTATUS KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber);
VOID KeSetImportanceDpc(PKDPC Dpc, KDPC_IMPORTANCE Importance);

// Dispatcher objects. Waits: <= APC; with a timeout of zero <= DISPATCH. Signals: <= DISPATCH with Wait =
// FALSE.
VOID KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State);
LONG KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
VOID KeClearEvent(PRKEVENT Event);
LONG KeResetEvent(PRKEVENT Event);
LONG KeReadStateEvent(PRKEVENT Event);
VOID KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit);
LONG KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait);
LONG KeReadStateSemaphore(PRKSEMAPHORE Semaphore);
VOID KeInitializeMutex(PRKMUTEX Mutex, ULONG Level);
LONG KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait);
LONG KeReadStateMutex(PRKMUTEX Mutex);
NTSTATUS KeWaitForSingleObject(PVOID Object, KWAIT_REASON WaitReason, KPROCESSOR_MODE WaitMode,
                               BOOLEAN Alertable, PLARGE_INTEGER Timeout);
NTSTATUS KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON WaitReason,
                                  KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout,
                                  PKWAIT_BLOCK WaitBlockArray);
#define KeWaitForMutexObject KeWaitForSingleObject
NTSTATUS KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                PLARGE_INTEGER Interval);  // <= APC

// Timers: <= DISPATCH. Due times and periods as on Windows: 100 ns units, negative is relative; period in
// milliseconds.
VOID KeInitializeTimer(PKTIMER Timer);
VOID KeInitializeTimerEx(PKTIMER Timer, TIMER_TYPE Type);
BOOLEAN KeSetTimer(PKTIMER Timer, LARGE_INTEGER DueTime, PKDPC Dpc);
BOOLEAN KeSetTimerEx(PKTIMER Timer, LARGE_INTEGER DueTime, LONG Period, PKDPC Dpc);
BOOLEAN KeSetCoalescableTimer(PKTIMER Timer, LARGE_INTEGER DueTime, ULONG Period, ULONG TolerableDelay,
                              PKDPC Dpc);
BOOLEAN KeCancelTimer(PKTIMER Timer);
BOOLEAN KeReadStateTimer(PKTIMER Timer);

// Time: any IRQL. The counter runs at 10 MHz, the same on every CPU; the system time advances in ticks
// of 15.625 ms.
LARGE_INTEGER KeQueryPerformanceCounter(PLARGE_INTEGER PerformanceFrequency);
VOID KeQuerySystemTime(PLARGE_INTEGER CurrentTime);
VOID KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);  // Windows 8: by MmGetSystemRoutineAddress only
ULONGLONG KeQueryInterruptTime(VOID);
ULONG KeQueryTimeIncrement(VOID);
VOID KeQueryTickCount(PLARGE_INTEGER CurrentCount);
VOID KeStallExecutionProcessor(ULONG MicroSeconds);

// Spin locks.
VOID KeInitializeSpinLock(PKSPIN_LOCK SpinLock);                                            // any
VOID KeAcquireSpinLock(PKSPIN_LOCK SpinLock, PKIRQL OldIrql);                               // <= DISPATCH
KIRQL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock);                                    // <= DISPATCH
VOID KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);                                // DISPATCH
VOID KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);                                     // >= DISPATCH
VOID KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock);                                   // >= DISPATCH
BOOLEAN KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock);                             // >= DISPATCH
VOID KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);  // <= DISPATCH
VOID KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle);                        // DISPATCH
VOID KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
VOID KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle);

PKTHREAD KeGetCurrentThread(VOID);                                   // <= DISPATCH
KPRIORITY KeSetPriorityThread(PKTHREAD Thread, KPRIORITY Priority);  // PASSIVE
KPRIORITY KeQueryPriorityThread(PKTHREAD Thread);
DECLSPEC_NORETURN VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1,
                                    ULONG_PTR BugCheckParameter2, ULONG_PTR BugCheckParameter3,
                                    ULONG_PTR BugCheckParameter4);
DECLSPEC_NORETURN VOID KeBugCheck(ULONG BugCheckCode);

// A point where the simulation may hand the host's processor over: a spinning driver must not starve the one
// it waits for.
VOID SluiceSimulatedYieldProcessor(VOID);
#define YieldProcessor() SluiceSimulatedYieldProcessor()

EXTERN_C_END
