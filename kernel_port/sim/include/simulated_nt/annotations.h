// Calling conventions, SAL and IRQL annotations of the WDK. They mean nothing to this compiler, and say
// everything to a reader.
#pragma once

#ifdef __GNUC__
#pragma GCC diagnostic ignored "-Wmultichar"        // pool tags are 'abcd'
#pragma GCC diagnostic ignored "-Wunknown-pragmas"  // #pragma alloc_text(PAGE, f)
#endif

#define NTAPI
#define FASTCALL
#define CALLBACK
#define NTKERNELAPI
#define NTSYSAPI
#define NTSYSCALLAPI
#define NTHALAPI
#define DECLSPEC_IMPORT
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_ALIGN(x) __attribute__((aligned(x)))
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(64)
#ifndef FORCEINLINE
#define FORCEINLINE static inline __attribute__((always_inline))
#endif
#define CFORCEINLINE FORCEINLINE
#define UNALIGNED
#define POINTER_ALIGNMENT __attribute__((aligned(8)))

#define CONST const
#define IN
#define OUT
#define OPTIONAL

#define _In_
#define _In_opt_
#define _In_z_
#define _In_opt_z_
#define _In_range_(low, high)
#define _In_reads_(count)
#define _In_reads_opt_(count)
#define _In_reads_bytes_(count)
#define _In_reads_bytes_opt_(count)
#define _Inout_
#define _Inout_opt_
#define _Inout_updates_(count)
#define _Inout_updates_bytes_(count)
#define _Inout_updates_opt_(count)
#define _Out_
#define _Out_opt_
#define _Out_writes_(count)
#define _Out_writes_opt_(count)
#define _Out_writes_bytes_(count)
#define _Out_writes_bytes_opt_(count)
#define _Out_writes_bytes_to_(size, count)
#define _Out_writes_bytes_to_opt_(size, count)
#define _Out_writes_bytes_all_(count)
#define _Out_writes_to_(size, count)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Outptr_result_bytebuffer_(count)
#define _COM_Outptr_
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Ret_valid_
#define _Result_nullonfailure_
#define _Field_size_(count)
#define _Field_size_opt_(count)
#define _Field_size_bytes_(count)
#define _Field_range_(low, high)
#define _Struct_size_bytes_(size)
#define _Reserved_
#define _Const_
#define _Null_terminated_
#define _Printf_format_string_
#define _Points_to_data_
#define _Interlocked_operand_
#define _Must_inspect_result_
#define _Check_return_
#define _Check_return_opt_
#define _Success_(expression)
#define _Return_type_success_(expression)
#define _On_failure_(annotations)
#define _Always_(annotations)
#define _When_(expression, annotations)
#define _At_(target, annotations)
#define _At_buffer_(target, iterator, bound, annotations)
#define _Group_(annotations)
#define _Pre_
#define _Pre_notnull_
#define _Pre_valid_
#define _Pre_satisfies_(expression)
#define _Post_
#define _Post_ptr_invalid_
#define _Post_satisfies_(expression)
#define _Post_writable_byte_size_(size)
#define _Notnull_
#define _Maybenull_
#define _Use_decl_annotations_
#define _Function_class_(name)
#define _Analysis_assume_(expression)
#define _Analysis_assume_lock_held_(lock)
#define _Analysis_assume_lock_not_held_(lock)
#define __analysis_assume(expression)

#define _IRQL_requires_(irql)
#define _IRQL_requires_max_(irql)
#define _IRQL_requires_min_(irql)
#define _IRQL_requires_same_
#define _IRQL_raises_(irql)
#define _IRQL_saves_
#define _IRQL_saves_global_(kind, parameter)
#define _IRQL_restores_
#define _IRQL_restores_global_(kind, parameter)
#define _IRQL_always_function_max_(irql)
#define _IRQL_always_function_min_(irql)
#define _Kernel_clear_do_init_(value)
#define _Kernel_float_saved_
#define _Kernel_float_restored_
#define _Dispatch_type_(type)

#define _Acquires_lock_(lock)
#define _Releases_lock_(lock)
#define _Acquires_exclusive_lock_(lock)
#define _Releases_exclusive_lock_(lock)
#define _Acquires_shared_lock_(lock)
#define _Releases_shared_lock_(lock)
#define _Acquires_nonreentrant_lock_(lock)
#define _Releases_nonreentrant_lock_(lock)
#define _Requires_lock_held_(lock)
#define _Requires_lock_not_held_(lock)
#define _Requires_no_locks_held_
#define _Has_lock_kind_(kind)
#define _Has_lock_level_(level)
#define _Guarded_by_(lock)
#define _Write_guarded_by_(lock)
#define _No_competing_thread_
#define _Kernel_requires_resource_held_(kind)
#define _Kernel_requires_resource_not_held_(kind)
#define _Kernel_acquires_resource_(kind)
#define _Kernel_releases_resource_(kind)

#define __drv_allocatesMem(kind)
#define __drv_freesMem(kind)
#define __drv_aliasesMem
#define __drv_maxIRQL(irql)
#define __drv_minIRQL(irql)
#define __drv_requiresIRQL(irql)
#define __drv_sameIRQL
#define __drv_raisesIRQL(irql)
#define __drv_savesIRQL
#define __drv_restoresIRQL
#define __drv_when(condition, annotations)
#define __drv_at(target, annotations)
#define __drv_functionClass(name)
#define __drv_dispatchType(type)
#define __drv_reportError(text)
#define __drv_strictTypeMatch(mode)
