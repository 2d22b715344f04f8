/* crc32c.h: the Castagnoli checksum, as in iSCSI (RFC 3720, 12.1), ext4 and LevelDB. */
#ifndef SHEAF_CRC32C_H
#define SHEAF_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what came before (0: nothing) followed by these bytes. */
uint32_t sheaf__crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
