/* COMPRESS=DEFLATE (RFC 4978): raw DEFLATE both ways, without zlib's header or checksum.
 *
 * Memory is bounded whatever the peer sends: inflating writes into the caller's buffer and stops
 * when it is full, so a "bomb" is only a long stream, which the readers' own limits end.
 */
#include "net/internal.h"

#include <zlib.h>

#include "base/error.h"

enum {
    WINDOW_BITS = -15, /* negative: raw; 32 KiB, which any server's window fits in */
    MEMORY_LEVEL = 8,
    IN_SIZE = 16 * 1024, /* one TLS record */
};

struct NetDeflate {
    z_stream inflater, deflater;
    guint8 in[IN_SIZE];
};

NetDeflate *net_deflate_new(void)
{
    NetDeflate *codec = g_new0(NetDeflate, 1);

    /* These fail for lack of memory or for bad arguments only. */
    if (inflateInit2(&codec->inflater, WINDOW_BITS) != Z_OK ||
        deflateInit2(&codec->deflater, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        g_error("out of memory for zlib");
    return codec;
}

void net_deflate_free(NetDeflate *codec)
{
    if (!codec)
        return;
    (void)inflateEnd(&codec->inflater);
    (void)deflateEnd(&codec->deflater);
    g_free(codec);
}

void *net_deflate_input(NetDeflate *codec, gsize *ret_room)
{
    g_assert(codec->inflater.avail_in == 0);
    *ret_room = IN_SIZE;
    return codec->in;
}

void net_deflate_input_filled(NetDeflate *codec, gsize length)
{
    g_assert(length <= IN_SIZE);
    codec->inflater.next_in = codec->in;
    codec->inflater.avail_in = (uInt)length;
}

gssize net_deflate_inflate(NetDeflate *codec, void *buffer, gsize length, GError **error)
{
    z_stream *z = &codec->inflater;
    uInt room = (uInt)MIN(length, G_MAXINT);
    int status;

    z->next_out = buffer;
    z->avail_out = room;
    status = inflate(z, Z_SYNC_FLUSH);
    if (z->avail_out < room)
        return (gssize)(room - z->avail_out); /* an error comes again at the next call */
    if (status == Z_OK || status == Z_BUF_ERROR)
        return 0;
    if (status == Z_STREAM_END)
        mail_fail(error, MAIL_ERROR_PROTOCOL, "the server ended the compressed stream");
    else
        mail_fail(error, MAIL_ERROR_PROTOCOL,
                  "the compressed stream is broken (%s): set compress=off if it happens again",
                  z->msg ? z->msg : "zlib");
    return -1;
}

gsize net_deflate_deflate(NetDeflate *codec, const guint8 **data, gsize *length, void *out,
                          gsize room, gboolean sync)
{
    z_stream *z = &codec->deflater;
    uInt taken = (uInt)MIN(*length, G_MAXINT);

    z->next_in = (Bytef *)*data; /* zlib's prototype lacks the const */
    z->avail_in = taken;
    z->next_out = out;
    z->avail_out = (uInt)room;
    (void)deflate(z, sync ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    *data += taken - z->avail_in;
    *length -= taken - z->avail_in;
    return room - z->avail_out;
}
