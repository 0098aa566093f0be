// What a watch runs on: a source of events, and the activity that makes the driver produce them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "consumers/event_source.h"

namespace sluice::tool {

class session {
 public:
  virtual ~session() = default;

  virtual event_source& source() = 0;
  // One line about what is watched, for stderr.
  virtual std::string title() = 0;
  // Activity begins. Throws what its source throws.
  virtual void start() = 0;
  // No callback is raised after this returns. May be called more than once.
  virtual void stop() = 0;
  // Why the activity ended by itself, if it did. What was raised until then is still read and accounted.
  virtual std::optional<std::string> failure() = 0;
  // The callbacks that the kernel raised, counted by the kernel; none: nobody counts them.
  virtual std::optional<raised_callbacks> raised() = 0;
  // Lines for the summary, after stop().
  virtual std::vector<std::string> notes() = 0;

  // The activity has come to its own end: what is on its way is still read.
  virtual bool finished() { return false; }
  // How far it has come, for a line on a terminal; empty: nobody knows.
  virtual std::string progress() { return {}; }
  // How many records the watch has received so far. Called after each batch.
  virtual void received(uint64_t) {}
  // What was found wrong with the source's input since the last call, one line each.
  virtual std::vector<std::string> take_faults() { return {}; }
  // What happened since the last call and is worth a line, besides events and faults.
  virtual std::vector<std::string> take_news() { return {}; }
  // Whether something that the session writes itself could not be written; everything else went on.
  virtual bool output_failed() { return false; }
  // Why the driver's figures cannot be compared with what came (a part of a recording); none: they can.
  virtual std::optional<std::string> incomparable() { return std::nullopt; }
  // Everything was read: the last figures. Either may be null.
  virtual void concluded(const driver_statistics*, const raised_callbacks*) {}
};

// A session around another one: everything goes to that, but what is overridden. The other one outlives it.
class surrounding_session : public session {
 public:
  explicit surrounding_session(session& watched) : watched_(watched) {}

  event_source& source() override { return watched_.source(); }
  std::string title() override { return watched_.title(); }
  void start() override { watched_.start(); }
  void stop() override { watched_.stop(); }
  std::optional<std::string> failure() override { return watched_.failure(); }
  std::optional<raised_callbacks> raised() override { return watched_.raised(); }
  std::vector<std::string> notes() override { return watched_.notes(); }
  bool finished() override { return watched_.finished(); }
  std::string progress() override { return watched_.progress(); }
  void received(uint64_t records) override { watched_.received(records); }
  std::vector<std::string> take_faults() override { return watched_.take_faults(); }
  std::vector<std::string> take_news() override { return watched_.take_news(); }
  bool output_failed() override { return watched_.output_failed(); }
  std::optional<std::string> incomparable() override { return watched_.incomparable(); }
  void concluded(const driver_statistics* statistics, const raised_callbacks* raised) override {
    watched_.concluded(statistics, raised);
  }

 protected:
  session& watched_;
};

}  // namespace sluice::tool
