// A bot on Microsoft's SDK, as one that would stand behind the proxy: it authenticates each request itself, answers messages
// through the connector, and invokes in its own answer. Everything it needs comes from its environment.
const http = require('node:http');
const {
    CloudAdapter,
    ConfigurationBotFrameworkAuthentication,
    ActivityTypes,
} = require('botbuilder');

const { APP_ID, APP_PASSWORD, TENANT, OPENID_URL, ISSUER, LOGIN_URL } = process.env;
const SCOPE = 'https://api.botframework.com/.default';

// The SDK's own credentials go through MSAL, which takes no login service on plain http, loopback or not.
const credentials = {
    async signRequest(request) {
        const body = new URLSearchParams({
            grant_type: 'client_credentials',
            client_id: APP_ID,
            client_secret: APP_PASSWORD,
            scope: SCOPE,
        });
        const answer = await fetch(`${LOGIN_URL}/${TENANT}/oauth2/v2.0/token`, { method: 'POST', body });
        const { access_token } = await answer.json();
        request.headers.set('authorization', `Bearer ${access_token}`);
        return request;
    },
};

const factory = {
    isValidAppId: async (id) => id === APP_ID,
    isAuthenticationDisabled: async () => false,
    createCredentials: async () => credentials,
};

const adapter = new CloudAdapter(
    new ConfigurationBotFrameworkAuthentication(
        {
            MicrosoftAppId: APP_ID,
            MicrosoftAppTenantId: TENANT,
            ToChannelFromBotLoginUrl: LOGIN_URL,
            ToChannelFromBotOAuthScope: SCOPE,
            ToBotFromChannelTokenIssuer: ISSUER,
            ToBotFromChannelOpenIdMetadataUrl: OPENID_URL,
            ToBotFromEmulatorOpenIdMetadataUrl: OPENID_URL,
            OAuthUrl: LOGIN_URL,
            CallerId: '',
        },
        factory,
    ),
);

async function turn(context) {
    const { type, text, name, value } = context.activity;
    if (type === ActivityTypes.Invoke) {
        const body = { statusCode: 200, type: 'application/vnd.microsoft.activity.message', value: `${name} ${value.a}` };
        await context.sendActivity({ type: ActivityTypes.InvokeResponse, value: { status: 200, body } });
    } else if (type === ActivityTypes.Message) {
        await context.sendActivity(`heard: ${text}`);
    }
}

// What the SDK expects of express.
function express(response) {
    return {
        socket: response.socket,
        status: (code) => (response.statusCode = code),
        header: (header, content) => response.setHeader(header, content),
        send: (body) => {
            response.setHeader('Content-Type', 'application/json; charset=utf-8');
            response.write(typeof body === 'string' ? body : JSON.stringify(body));
        },
        end: () => response.end(),
    };
}

const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    request.body = JSON.parse(Buffer.concat(chunks).toString());
    await adapter.process(request, express(response), turn);
});

server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
// It ends with the test that started it, however that ends.
process.stdin.resume().on('end', () => process.exit(0));
