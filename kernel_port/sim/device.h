// Drivers, devices, links: the I/O manager's names and who owns what.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernel_port/sim/internal_lock.h"
#include "kernel_port/sim/object.h"
#include "kernel_port/sim/security.h"

namespace sluice::sim {

struct driver_record {
  std::string name;
  std::u16string object_name;
  std::u16string service_name;
  PDRIVER_OBJECT object = nullptr;  // a reference
  DRIVER_EXTENSION extension{};
  bool unloading = false;
};

// Behind DEVICE_OBJECT::Reserved.
struct device_state {
  driver_record* driver = nullptr;
  std::u16string name;  // upper case; empty if unnamed
  bool exclusive = false;
  bool deleted = false;  // IoDeleteDevice was called; gone when the last handle is
  std::optional<access_list> access = {};  // none: nobody has restricted it, and everyone may open it
};

class device_table {
 public:
  ~device_table();

  NTSTATUS create(PDRIVER_OBJECT driver, ULONG extension_size, PCUNICODE_STRING name, DEVICE_TYPE type,
                  ULONG characteristics, BOOLEAN exclusive, PDEVICE_OBJECT* device);
  void remove(PDEVICE_OBJECT device);
  NTSTATUS link(PCUNICODE_STRING link, PCUNICODE_STRING target);
  NTSTATUS unlink(PCUNICODE_STRING link);

  // The device behind a DOS name, opened once more (ReferenceCount) to read and write; `rest` is what follows its name.
  NTSTATUS open(std::u16string_view dos_name, uint32_t user, PDEVICE_OBJECT* device, std::u16string* rest);
  void close(PDEVICE_OBJECT device);
  void set_access(PDEVICE_OBJECT device, std::optional<access_list> list);

  uint64_t device_count();
  uint64_t link_count();
  bool has_open_handles(const driver_record& driver);
  PDEVICE_OBJECT find_of(const driver_record* driver, bool any = false);

  // Drivers; driver.cpp.
  driver_record* add_driver(std::string_view name);
  driver_record* find_driver(std::string_view name);
  driver_record* driver_of(PDRIVER_OBJECT object);  // null if it is none of this machine
  void remove_driver(driver_record* driver);
  std::vector<std::string> driver_names();
  // DriverEntry has returned: its devices can be opened.
  void loaded(driver_record& driver);
  // Takes new opens away; false if a handle is open. They come back if it goes no further.
  bool begin_unload(driver_record& driver);
  void refuse_unload(driver_record& driver);
  void links_left(const driver_record& driver);  // says so on stderr

 private:
  struct link_entry {
    std::u16string target;
    driver_record* driver;
  };
  internal_mutex mutex_;
  std::vector<std::unique_ptr<driver_record>> drivers_;
  std::map<std::u16string, PDEVICE_OBJECT> names_;
  std::map<std::u16string, link_entry> links_;
  uint64_t devices_ = 0;
};

// What `driver` has left behind is a bug check; `when` says in the sentence when it was looked for.
void require_nothing_left(driver_record& driver, const char* when);

}  // namespace sluice::sim
