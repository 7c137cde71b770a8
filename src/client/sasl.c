/* The choice of a mechanism and the frame of an exchange.  See sasl.h.
 *
 * All mechanisms stand in one table, the strongest first.  SCRAM has an entry for each thing that
 * a client can say of channel binding, so the choice also decides that and an exchange needs
 * nothing but its table entry.
 */
#include "client/sasl-internal.h"

#include <string.h>

#include "base/error.h"
#include "base/limits.h"

#define SCRAM(wire_name, hash, how)                                                                \
    {                                                                                              \
        .name = wire_name, .step = sasl_scram_step, .digest = hash, .binding = how,                \
        .is_client_first = TRUE, .is_auto = TRUE                                                   \
    }

static const SaslMechanism mechanisms[] = {
    SCRAM("SCRAM-SHA-256-PLUS", "SHA256", SASL_BINDING_USED),
    SCRAM("SCRAM-SHA-256", "SHA256", SASL_BINDING_MISSED),
    SCRAM("SCRAM-SHA-256", "SHA256", SASL_BINDING_NONE),
    SCRAM("SCRAM-SHA-1-PLUS", "SHA1", SASL_BINDING_USED),
    SCRAM("SCRAM-SHA-1", "SHA1", SASL_BINDING_MISSED),
    SCRAM("SCRAM-SHA-1", "SHA1", SASL_BINDING_NONE),
    {.name = "CRAM-MD5", .step = sasl_cram_md5_step, .is_auto = TRUE},
    {.name = "PLAIN",
     .step = sasl_plain_step,
     .is_client_first = TRUE,
     .is_clear = TRUE,
     .is_auto = TRUE},
    {.name = "LOGIN", .step = sasl_login_step, .is_clear = TRUE, .is_auto = TRUE},
    {.name = "OAUTHBEARER",
     .step = sasl_oauthbearer_step,
     .is_client_first = TRUE,
     .is_clear = TRUE,
     .is_oauth = TRUE,
     .is_auto = TRUE},
    {.name = "XOAUTH2",
     .step = sasl_xoauth2_step,
     .is_client_first = TRUE,
     .is_clear = TRUE,
     .is_oauth = TRUE,
     .is_auto = TRUE},
    {.name = "EXTERNAL", .step = sasl_external_step, .is_client_first = TRUE},
};

/* -- The choice -------------------------------------------------------------------------------- */

static gboolean is_offered(const char *const *offered, const char *name)
{
    for (; *offered; offered++)
        if (g_ascii_strcasecmp(*offered, name) == 0)
            return TRUE;
    return FALSE;
}

static gboolean is_named(const SaslMechanism *mechanism, const char *configured)
{
    g_autofree char *plus = g_strconcat(configured, "-PLUS", NULL);

    return g_ascii_strcasecmp(mechanism->name, configured) == 0 ||
           g_ascii_strcasecmp(mechanism->name, plus) == 0;
}

gboolean sasl_is_known(const char *configured)
{
    if (g_ascii_strcasecmp(configured, "auto") == 0)
        return TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(mechanisms); i++)
        if (g_ascii_strcasecmp(mechanisms[i].name, configured) == 0)
            return TRUE;
    return FALSE;
}

const char *sasl_mechanism_name(const SaslMechanism *mechanism)
{
    return mechanism->name;
}

/* The connection's channel binding (RFC 9266 for TLS 1.3, RFC 5929 before it), the first that the
 * server has not refused; the caller owns it.  NULL when there is none. */
static GBytes *find_binding(const SaslParams *params, const char **ret_type)
{
    static const char *const types[] = {"tls-exporter", "tls-unique", "tls-server-end-point"};
    guint n_found = 0;

    for (guint i = 0; params->stream && i < G_N_ELEMENTS(types); i++) {
        g_autoptr(GBytes) binding = net_stream_channel_binding(params->stream, types[i]);

        if (binding && n_found++ == params->n_refused) {
            *ret_type = types[i];
            return g_steal_pointer(&binding);
        }
    }
    return NULL;
}

/* Is this the entry that tells the truth about channel binding?  "y" is said whenever we could
 * have bound: if the server could have too, somebody cut its offer, and it will refuse. */
static gboolean binding_fits(const SaslMechanism *mechanism, gboolean can_bind)
{
    return !mechanism->digest || (mechanism->binding != SASL_BINDING_NONE) == can_bind;
}

static gboolean fail_choice(const char *configured, const char *const *offered, gboolean is_token,
                            gboolean is_too_clear, GError **error)
{
    g_autofree char *list = *offered ? g_strjoinv(", ", (char **)offered) : g_strdup("none");
    gboolean is_auto = g_ascii_strcasecmp(configured, "auto") == 0;

    if (is_too_clear)
        return mail_fail(error, MAIL_ERROR_DENIED,
                         "the server offers %s to log in, and what auth=%s allows of these would "
                         "show the %s to anyone on the way: use TLS (imaps:// or imap://, "
                         "pop3s:// or pop3://)",
                         list, configured, is_token ? "token" : "password");
    if (is_auto)
        return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                         "the server offers %s to log in with, none of which takes a %s: %s", list,
                         is_token ? "token" : "password",
                         is_token ? "set password-command instead of token-command"
                                  : "it may want OAuth 2 (set token-command) or a client "
                                    "certificate (set auth=external)");
    return mail_fail(error, MAIL_ERROR_UNSUPPORTED,
                     "the server offers %s to log in with, and the configuration allows %s "
                     "only%s: set auth=auto or one of these",
                     list, configured,
                     g_str_has_suffix(configured, "-plus") || g_str_has_suffix(configured, "-PLUS")
                         ? ", over TLS"
                         : "");
}

const SaslMechanism *sasl_choose(const char *configured, const char *const *offered,
                                 gboolean is_token, const SaslParams *params, GError **error)
{
    gboolean is_auto = g_ascii_strcasecmp(configured, "auto") == 0;
    const char *binding_type = NULL;
    g_autoptr(GBytes) binding = find_binding(params, &binding_type);
    gboolean is_too_clear = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(mechanisms); i++) {
        const SaslMechanism *mechanism = &mechanisms[i];

        if (is_auto ? !mechanism->is_auto || mechanism->is_oauth != is_token
                    : !is_named(mechanism, configured))
            continue;
        if (!is_offered(offered, mechanism->name) || !binding_fits(mechanism, binding != NULL))
            continue;
        if (!mechanism->is_clear || params->is_secure)
            return mechanism;
        is_too_clear = TRUE;
    }
    fail_choice(configured, offered, is_token, is_too_clear, error);
    return NULL;
}

/* -- The exchange ------------------------------------------------------------------------------ */

Sasl *sasl_new(const SaslMechanism *mechanism, const SaslParams *params)
{
    Sasl *sasl = g_new0(Sasl, 1);

    g_assert(params->secret || mechanism->step == sasl_external_step);
    sasl->mechanism = mechanism;
    sasl->user = g_strdup(params->user ? params->user : "");
    sasl->secret = params->secret ? secret_ref(params->secret) : NULL;
    sasl->host = g_strdup(params->host ? params->host : "");
    sasl->port = params->port;
    if (mechanism->binding == SASL_BINDING_USED)
        sasl->binding = find_binding(params, &sasl->binding_type);
    return sasl;
}

void sasl_free(Sasl *sasl)
{
    if (!sasl)
        return;
    sasl_scram_free(sasl->scram);
    secret_unref(sasl->secret);
    if (sasl->binding)
        g_bytes_unref(sasl->binding);
    g_free(sasl->user);
    g_free(sasl->host);
    g_free(sasl);
}

gboolean sasl_client_first(const Sasl *sasl)
{
    return sasl->mechanism->is_client_first;
}

/* What holds for a challenge to any mechanism. */
static gboolean check_challenge(const Sasl *sasl, GBytes *challenge, GError **error)
{
    gsize length = challenge ? g_bytes_get_size(challenge) : 0;
    gboolean is_ours = sasl->mechanism->is_client_first && sasl->n_steps == 0;

    if (sasl->is_failed)
        return sasl_fail_challenge(sasl, "the exchange has failed already", error) != NULL;
    if (length > LIMIT_SASL_MESSAGE)
        return sasl_fail_challenge(sasl, "it is too long", error) != NULL;
    /* Without SASL-IR the server asks for the initial response by an empty challenge. */
    if (is_ours && length > 0)
        return sasl_fail_challenge(sasl, "the client speaks first here", error) != NULL;
    if (!is_ours && !challenge)
        return sasl_fail_challenge(sasl, "it is missing", error) != NULL;
    return TRUE;
}

GBytes *sasl_step(Sasl *sasl, GBytes *challenge, GError **error)
{
    GBytes *response = NULL;

    if (sasl->secret && strlen(secret_text(sasl->secret)) != secret_length(sasl->secret))
        mail_fail(error, MAIL_ERROR_INVALID, "the password has a NUL octet, which no server takes");
    else if (check_challenge(sasl, challenge, error))
        response = sasl->mechanism->step(sasl, challenge, error);
    sasl->n_steps++;
    sasl->is_failed = response == NULL;
    return response;
}

gboolean sasl_is_complete(const Sasl *sasl)
{
    return sasl->is_complete && !sasl->is_failed;
}

gboolean sasl_next_binding(const Sasl *sasl, SaslParams *params)
{
    SaslParams next = *params;
    const char *type;
    g_autoptr(GBytes) binding = NULL;

    if (!sasl->binding || !g_str_equal(sasl->binding_type, "tls-exporter"))
        return FALSE;
    next.n_refused++;
    binding = find_binding(&next, &type);
    if (binding)
        *params = next;
    return binding != NULL;
}

GBytes *sasl_error_response(const Sasl *sasl)
{
    if (!sasl->mechanism->is_oauth || !sasl->is_failed || sasl->n_steps != 2)
        return NULL;
    /* RFC 7628 section 3.2.3: one %x01.  Google's XOAUTH2 wants an empty line. */
    return g_bytes_new_static("\001", sasl->mechanism->step == sasl_oauthbearer_step ? 1 : 0);
}

/* -- What the mechanisms share ----------------------------------------------------------------- */

typedef struct {
    gsize length;
    char data[];
} Wiped;

static void wiped_free(gpointer data)
{
    Wiped *wiped = data;

    secret_wipe(wiped->data, wiped->length);
    g_free(wiped);
}

GBytes *sasl_response_new(const SaslPart *parts, gsize n_parts)
{
    gsize length = 0, at = 0;
    Wiped *wiped;

    for (gsize i = 0; i < n_parts; i++)
        length += parts[i].length;
    wiped = g_malloc(sizeof *wiped + length);
    wiped->length = length;
    for (gsize i = 0; i < n_parts; i++) {
        if (parts[i].length > 0)
            memcpy(wiped->data + at, parts[i].data, parts[i].length);
        at += parts[i].length;
    }
    return g_bytes_new_with_free_func(wiped->data, length, wiped_free, wiped);
}

char *sasl_escape_name(const char *name)
{
    GString *escaped = g_string_new(name);

    g_string_replace(escaped, "=", "=3D", 0);
    g_string_replace(escaped, ",", "=2C", 0);
    return g_string_free(escaped, FALSE);
}

GBytes *sasl_fail_challenge(const Sasl *sasl, const char *why, GError **error)
{
    mail_fail(error, MAIL_ERROR_PROTOCOL, "the server's %s challenge makes no sense: %s",
              sasl->mechanism->name, why);
    return NULL;
}
