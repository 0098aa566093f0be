// The worker's answer to a request for a copy of a ring: protocol::code_copy_ring, pipeline/ring_copy.h.
//
// The worker is the consumer: while it copies, nothing of a discarding ring is given back, so nothing of it is overwritten.
// Of an overwriting ring the producer may take room meanwhile, and what it took is not in the piece. Nobody is stopped.
#include "kernel_port/driver/worker.h"

namespace sluice {

bool worker::serve_ring_copy() {
  PIRP const irp = copies_.remove();
  if (irp == nullptr) return false;
  const PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
  const auto& sizes = stack->Parameters.DeviceIoControl;
  NTSTATUS status = STATUS_INFO_LENGTH_MISMATCH;
  uint32_t written = 0;
  if (lent_) {
    status = STATUS_SHARING_VIOLATION;  // a client gives room back meanwhile
  } else if (sizes.InputBufferLength >= sizeof(protocol::ring_copy_request)) {
    protocol::ring_copy_request request;
    copy_bytes(&request, irp->AssociatedIrp.SystemBuffer, sizeof request);  // the answer goes to the same buffer
    status = copy_piece(request, stack->FileObject, static_cast<uint8_t*>(irp->AssociatedIrp.SystemBuffer),
                        sizes.OutputBufferLength, written);
  }
  complete(irp, status, written);
  return true;
}

NTSTATUS worker::copy_piece(const protocol::ring_copy_request& request, PFILE_OBJECT file, uint8_t* buffer, uint32_t size,
                            uint32_t& written) {
  PAGED_CODE();
  if (request.version != protocol::version) return STATUS_REVISION_MISMATCH;
  attach_rings();
  if (request.lane >= lanes_per_cpu || request.next > 1 || request.cpu >= channel_->cpu_count()) return STATUS_INVALID_PARAMETER;
  if (request.cpu >= attached_cpus_) return STATUS_NOT_FOUND;  // it does not run yet
  const region_view<native_seam> region = channel_->region(request.cpu, request.lane);
  if (size < sizeof(protocol::ring_copy) + region.geometry.max_record) return STATUS_BUFFER_TOO_SMALL;
  uint32_t room = size - static_cast<uint32_t>(sizeof(protocol::ring_copy));
  if (room > protocol::max_ring_copy_bytes) room = protocol::max_ring_copy_bytes;
  uint8_t* const records = buffer + sizeof(protocol::ring_copy);
  const auto place = [records](uint32_t offset) { return native_seam::memory(records + offset); };

  const uint32_t ring = request.cpu * lanes_per_cpu + request.lane;
  const uint64_t released = readers_[ring].released();
  const bool overwrites = region.mode == ring_mode::overwrite;
  const bool goes_on = request.next != 0 && copied_.file == file && copied_.ring == ring &&
                       (overwrites || copied_.end >= released);
  ring_copier<native_seam> copier(region);
  ring_copier<native_seam>::piece& piece = copying_[0].piece;
  if (goes_on) {
    copier.copy_more(copied_.end, copied_.until, room, place, piece);
  } else {
    copier.copy(released, room, place, piece);
  }
  copied_ = {file, ring, piece.end, piece.until};

  protocol::ring_copy& answer = copying_[0].answer;
  answer = {};
  answer.version = protocol::version;
  answer.header_bytes = static_cast<uint32_t>(sizeof answer) + piece.skipped;
  answer.record_bytes = static_cast<uint32_t>(piece.end - piece.begin);
  answer.overtaken = piece.status == ring_copy_status::overtaken;
  answer.damaged = piece.status == ring_copy_status::damaged;
  answer.begin = piece.begin;
  answer.end = piece.end;
  answer.until = piece.until;
  answer.consumed = released;
  copy_bytes(&answer.region, &region.producer->header, sizeof answer.region);
  copy_bytes(answer.committed, piece.passed.committed, sizeof answer.committed);
  add_losses(region, answer);
  copy_bytes(buffer, &answer, sizeof answer);
  written = answer.header_bytes + answer.record_bytes;
  return STATUS_SUCCESS;
}

// Read behind the records: what no LOSS record among them tells of is told by these figures.
void worker::add_losses(const region_view<native_seam>& region, protocol::ring_copy& answer) {
  loss_summary loss;
  uint32_t attempts = 0;
  while (!read_loss_figures(region.producer->loss, loss)) {
    if (++attempts == 1000) return;  // the CPU drops without pause: the answer says that they are not known
  }
  answer.loss_is_known = 1;
  answer.loss_first_time = loss.first_time;
  answer.loss_last_time = loss.last_time;
  answer.loss_bytes = loss.bytes;
  answer.loss_events = loss.events;
  copy_bytes(answer.dropped, loss.dropped, sizeof answer.dropped);
}

}  // namespace sluice
