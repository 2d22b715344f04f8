/* nfc.h: Unicode normalization form C, for vocabularies that want it. */
#ifndef SHEAF_NFC_H
#define SHEAF_NFC_H

#include <sheaf/base.h>

/* Normalizing makes no text longer than this many times (Unicode Standard Annex 15, "Maximum
 * Expansion Factor" of form C in UTF-8). */
#define SHEAF__NFC_GROWTH 3

/* Whether well-formed text certainly is in form C. */
bool sheaf__nfc_is_plain(const uint8_t *p, size_t bytes);

/* Brings well-formed text into form C. points: room for 3 code points a byte of the text, for work.
 * out: room for SHEAF__NFC_GROWTH times the text. Returns how many bytes there are. */
size_t sheaf__nfc(const uint8_t *p, size_t bytes, uint32_t *points, uint8_t *out);

#endif
