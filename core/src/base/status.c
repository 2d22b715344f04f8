/* status.c: names and sentences of codes, made from the lists in sheaf/base.h. */
#include <sheaf/base.h>

#include <string.h>

const char *sheaf_version(void) {
  return SHEAF_VERSION_STRING;
}

sheaf_slice sheaf_slice_of(const char *text) {
  sheaf_slice slice = {text, text ? strlen(text) : 0};
  return slice;
}

const char *sheaf_status_name(int32_t status) {
  switch (status) {
#define STATUS_NAME(name, number, text) \
  case number: return "SHEAF_" #name;
    SHEAF_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default: return "SHEAF_E_?";
  }
}

const char *sheaf_status_text(int32_t status) {
#ifdef SHEAF_MODULE /* The host has the sentences, by the codes: 0.4 KB of a module. */
  (void)status;
  return "";
#else
  switch (status) {
#define STATUS_TEXT(name, number, text) \
  case number:                          \
    return text;
    SHEAF_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default: return "unknown status";
  }
#endif
}

const char *sheaf_class_name(uint32_t error_class) {
  switch (error_class) {
#define CLASS_NAME(name, number, text) \
  case number: return text;
    SHEAF_CLASS_MAP(CLASS_NAME)
#undef CLASS_NAME
    default: return "unknown";
  }
}

const char *sheaf_billing_name(uint32_t billing) {
  switch (billing) {
    case SHEAF_BILLING_NOT_SENT: return "not_sent";
    case SHEAF_BILLING_REFUSED: return "refused";
    case SHEAF_BILLING_UNKNOWN: return "unknown";
    case SHEAF_BILLING_BILLED: return "billed";
    default: return "unknown";
  }
}
